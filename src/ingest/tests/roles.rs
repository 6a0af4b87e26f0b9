//! Roles, tasks and statistics.

use super::*;

#[test]
fn roles_are_named_or_inferred() {
    let source = "f,label,w,g,k,when,x\n1,u,1,a,7,2024-01-01,0\n2,v,0.5,b,8,2024-01-02,0\n";
    let plain = table(source);
    assert_eq!(plain.roles[..3], [Role::Feature, Role::Label, Role::Feature]);
    assert_eq!(plain.roles[5], Role::Ignore);
    assert_eq!(plain.task, Some(TaskKind::Classification));
    assert!(plain.notes[0].contains("time="));
    let options = with(|o| {
        o.roles = RoleRequest {
            label: Some("f".into()),
            weight: Some("w".into()),
            group: Some("g".into()),
            id: Some("k".into()),
            time: Some("when".into()),
            ignore: vec!["x".into()],
        };
    });
    let named = read(&Bytes::from_static(source.as_bytes()).into(), &options).unwrap();
    use Role::{Feature, Group, Id, Ignore, Label, Time, Weight};
    assert_eq!(named.roles, [Label, Feature, Weight, Group, Id, Time, Ignore]);
}

#[test]
fn bad_roles_are_refused() {
    let source = "a,b,label\n-1,u,x\n2,v,y\n";
    let ask = |change: fn(&mut RoleRequest)| refused(source, &with(|o| change(&mut o.roles)));
    let (code, place, message) = ask(|r| r.label = Some("lable".into()));
    assert_eq!((code, place.column.as_deref()), ("column_not_found", Some("lable")));
    assert!(message.ends_with("the columns are a, b, label"), "{message}");
    assert!(ask(|r| (r.label, r.id) = (Some("a".into()), Some("a".into()))).2.contains("two roles"));
    assert!(ask(|r| r.weight = Some("b".into())).2.contains("must hold numbers"));
    let (_, place, message) = ask(|r| r.weight = Some("a".into()));
    assert!(message.contains("row 1") && place.row == Some(1), "{message}");
    assert!(ask(|r| r.time = Some("b".into())).2.contains("RFC 3339"));
    assert!(ask(|r| r.ignore = vec!["a".into(), "b".into()]).2.contains("no column is left as a feature"));
    let regression = with(|o| o.task = Some(TaskKind::Regression));
    assert_eq!(refused(source, &regression).0, "data_invalid");
}

#[test]
fn the_label_says_the_task() {
    let task = |labels: &str| table(&format!("f,label\n{labels}")).task;
    assert_eq!(task("1,0\n2,1\n"), Some(TaskKind::Classification));
    assert_eq!(task("1,true\n2,false\n"), Some(TaskKind::Classification));
    assert_eq!(task("1,0.5\n2,1\n"), Some(TaskKind::Regression));
    let many: String = (0..51).map(|i| format!("0,{i}\n")).collect();
    assert_eq!(task(&many), Some(TaskKind::Regression));
    let words: String = (0..80).map(|i| format!("0,class{i}\n")).collect();
    let words = table(&format!("f,label\n{words}"));
    assert_eq!(words.table.column("label").unwrap().values.kind(), adaptation::data::Kind::Category);
    let unlabelled = table("f,label\n1,\n2,\n");
    assert_eq!(unlabelled.task, None);
    assert!(unlabelled.notes[0].contains("unlabelled"));
    assert_eq!(table("f\n1\n").task, None);
}

#[test]
fn prose_is_text_and_a_feature() {
    let rows: String = (0..30).map(|i| format!("{i},this is comment number {i} and it is rather long\n")).collect();
    let prose = table(&format!("f,comment\n{rows}"));
    assert_eq!(prose.roles, [Role::Feature, Role::Feature]);
    assert!(prose.notes[0].contains("free text") && prose.notes[0].contains("ignore="), "{:?}", prose.notes);
    let aside = with(|o| o.roles.ignore = vec!["comment".into()]);
    let aside = read(&format!("f,comment\n{rows}").into(), &aside).unwrap();
    assert_eq!((aside.roles[1], aside.notes.len()), (Role::Ignore, 0));
}

#[test]
fn statistics_count_what_is_there() {
    let rows: String = (0..101).map(|i| format!("{i},{},{}\n", if i % 4 == 0 { "" } else { "u" }, 7)).collect();
    let found = table(&format!("n,w,c\n{rows}"));
    let number = found.statistics[0].number.as_ref().unwrap();
    assert_eq!((found.statistics[0].count, number.min, number.max, number.mean), (101, 0.0, 100.0, 50.0));
    assert!((number.std - 850f64.sqrt()).abs() < 1e-9);
    assert_eq!(number.quantiles.iter().map(|q| q.value).collect::<Vec<_>>(), [5.0, 25.0, 50.0, 75.0, 95.0]);
    assert_eq!((number.histogram.edges.len(), number.histogram.counts.len()), (21, 20));
    assert_eq!((number.histogram.counts[0], number.histogram.counts[19]), (5, 6));
    assert_eq!(found.statistics[1].missing, 26);
    let words = found.statistics[1].words.as_ref().unwrap();
    assert_eq!((words.n_distinct, words.top[0].count), (1, 75));
    assert_eq!(found.statistics[2].number.as_ref().unwrap().histogram.counts, [101]);
}
