//! NPY arrays alone.

use super::*;

#[test]
fn an_array_alone_is_a_table() {
    let found = read(
        &npy("<f4", "(2, 2)", &[1.5f32, 2.0, f32::NAN, 4.0].map(f32::to_le_bytes).concat()).into(),
        &Options::default(),
    )
    .unwrap();
    assert_eq!(found.format, Format::Npy);
    assert_eq!(found.table.column("x0").unwrap().values, Values::Number(vec![Some(1.5), None]));
    assert_eq!(found.table.column("x1").unwrap().values, Values::Number(vec![Some(2.0), Some(4.0)]));
    let found = read(&npy("<i2", "(3,)", &[1, 0, 2, 0, 255, 255]).into(), &Options::default()).unwrap();
    assert_eq!(found.table.columns().len(), 1);
    assert_eq!(found.table.column("x0").unwrap().values, Values::Integer(vec![Some(1), Some(2), Some(-1)]));
}

#[test]
fn bad_arrays_are_refused() {
    let check = |array: Vec<u8>, code: &str, says: &str| {
        let (found, _, message) = refused(array, &with(|o| o.format = Some(Format::Npy)));
        assert_eq!(found, code, "{message}");
        assert!(message.contains(says), "{message:?} does not say {says:?}");
    };
    let one = floats(&[1.0]);
    check(b"a,b\n1,2\n".to_vec(), "data_invalid", "not an NPY array");
    check(npy("<f8", "()", &one), "data_invalid", "expected (n, d) or (n,)");
    check(npy("<f8", "(1, 1, 1)", &one), "data_invalid", "reshape");
    check(npy("<f8", "(2, 1)", &one), "data_invalid", "does not need the 8 bytes");
    check(npy("<f8", "(1, 1)", &floats(&[1.0, 2.0])), "data_invalid", "does not need the 16 bytes");
    check(npy("<f8", "(0, 1)", &[]), "data_empty", "no values");
    check(npy("<f8", "(4294967296, 4294967296)", &[]), "too_many_columns", "columns");
    check(npy("<f8", "(100000000,)", &[]), "body_too_large", "rows");
    check(npy("<U1", "(2,)", &[0; 8]), "data_invalid", "strings");
    check(npy("|O", "(2,)", b"\x80\x04cos\nsystem\n"), "data_invalid", "pickled");
    check(npy("<f8", "(1, 2)", &floats(&[1.0, f64::INFINITY])), "data_invalid", "row 1, column \"x1\"");
}
