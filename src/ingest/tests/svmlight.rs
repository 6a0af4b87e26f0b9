//! svmlight text.

use super::*;

fn svmlight() -> Options {
    with(|o| o.format = Some(Format::Svmlight))
}

fn read_svmlight(source: &str) -> Ingested {
    read(&Bytes::copy_from_slice(source.as_bytes()).into(), &svmlight()).unwrap()
}

#[test]
fn rows_are_read_as_sparse_columns_under_their_indices() {
    let found = read_svmlight("# head\n+1 qid:3 1:2 3:0.5 # good\n\n-1 qid:3 2:-1 4:0\r\n1\n");
    let names: Vec<&str> = found.table.columns().iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["x1", "x2", "x3", "x4", "label"]);
    let values = |name: &str| &found.table.column(name).unwrap().values;
    assert_eq!(*values("x1"), Values::Sparse { rows: vec![0], values: vec![2.0], n_rows: 3 });
    assert_eq!(*values("x2"), Values::Sparse { rows: vec![1], values: vec![-1.0], n_rows: 3 });
    assert_eq!(*values("x4"), Values::Sparse { rows: vec![], values: vec![], n_rows: 3 });
    assert_eq!(*values("label"), Values::Integer(vec![Some(1), Some(-1), Some(1)]));
    assert_eq!(found.task, Some(TaskKind::Classification));
    assert!(found.notes.iter().any(|n| n.contains("qid of 2 rows")), "{:?}", found.notes);
    let number = found.statistics[0].number.as_ref().unwrap();
    assert_eq!((number.min, number.max, number.mean), (0.0, 2.0, 2.0 / 3.0), "zeros count");
}

#[test]
fn indices_from_zero_and_rows_without_labels_are_read() {
    let found = read_svmlight("0:1 2:3\n1:5\n");
    assert_eq!(found.table.columns().len(), 3);
    assert!(!found.roles.contains(&Role::Label));
    let real = read_svmlight("1.5 1:1\n2.5 1:2\n");
    assert_eq!(real.task, Some(TaskKind::Regression));
}

#[test]
fn sparse_tables_are_stored_and_read_again() {
    let found = read_svmlight("1 1:2 3:0.5\n0 2:-1\n1\n");
    let bytes = stored::write_parquet(&found.table).unwrap();
    assert_eq!(stored::read_parquet(bytes.into()).unwrap(), found.table);
}

#[test]
fn bad_svmlight_is_refused_with_its_line() {
    let check = |source: &str, code: &str, says: &str| {
        let (found, place, message) = refused(source.as_bytes().to_vec(), &svmlight());
        assert_eq!(found, code, "{message}");
        assert!(message.contains(says), "{message:?} does not say {says:?}");
        place
    };
    let place = check("1 1:2\n0 1:2 3:x\n", "data_invalid", "\"x\" is not a finite number");
    assert_eq!((place.row, place.line, place.column.as_deref()), (Some(2), Some(2), Some("x3")));
    check("1 1:nan\n", "data_invalid", "not a finite number");
    check("1 2:1 1:1\n", "data_invalid", "index 1 comes after 2");
    check("1 1:1 1:1\n", "data_invalid", "sort the indices");
    check("1,2 1:1\n", "data_invalid", "not one number");
    check("good 1:1\n", "data_invalid", "not one number");
    check("1 -1:1\n", "data_invalid", "not an index");
    check("1 1:1 2\n", "data_invalid", "is not index:value");
    check("1 99999999999:1\n", "too_many_columns", "99999999999");
    check("1\n0\n", "data_empty", "index:value");
    check("# only\n", "data_empty", "index:value");
}
