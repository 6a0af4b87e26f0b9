//! NPZ archives.

use super::*;

#[test]
fn npz_is_read_in_every_layout() {
    let x = floats(&[1.0, f64::NAN, 3.0, 4.5]);
    let y: Vec<u8> = "no\0yes".chars().flat_map(|c| (c as u32).to_le_bytes()).collect();
    let source = archive(&[
        ("X", npy("<f8", "(2, 2)", &x)),
        ("y", npy("<U3", "(2,)", &y)),
        ("island", npy_of("{'descr': '|O', 'fortran_order': False, 'shape': (2,), }", b"\x80pickle")),
    ]);
    let found = read(&source.into(), &Options::default()).unwrap();
    assert_eq!(found.table.column("x0").unwrap().values, Values::Number(vec![Some(1.0), Some(3.0)]));
    assert_eq!(found.table.column("x1").unwrap().values, Values::Number(vec![None, Some(4.5)]));
    assert_eq!(found.table.column("label").unwrap().values, Values::categories([Some("no"), Some("yes")]));
    assert_eq!(found.roles, [Role::Feature, Role::Feature, Role::Label]);
    assert_eq!(found.notes, ["skipped arrays: island (only X and y are read)"]);

    let fortran = npy_of("{'descr': '>i2', 'fortran_order': True, 'shape': (2, 2), }", &[0, 1, 0, 2, 255, 255, 1, 0]);
    let found = read(&archive(&[("X", fortran)]).into(), &Options::default()).unwrap();
    assert_eq!(found.table.column("x0").unwrap().values, Values::Integer(vec![Some(1), Some(2)]));
    assert_eq!(found.table.column("x1").unwrap().values, Values::Integer(vec![Some(-1), Some(256)]));

    let half = npy("<f2", "(3, 1)", &[0x00, 0x3c, 0x01, 0x00, 0x00, 0xc1]);
    let found = read(&archive(&[("X", half)]).into(), &Options::default()).unwrap();
    let expected = Values::Number(vec![Some(1.0), Some(2f64.powi(-24)), Some(-2.5)]);
    assert_eq!(found.table.column("x0").unwrap().values, expected);
}

#[test]
fn bad_npz_is_refused() {
    let good = || npy("<f8", "(2, 1)", &floats(&[1.0, 2.0]));
    let check = |arrays: &[(&str, Vec<u8>)], code: &str, says: &str| {
        let (found, _, message) = refused(archive(arrays), &Options::default());
        assert_eq!(found, code, "{message}");
        assert!(message.contains(says), "{message:?} does not say {says:?}");
    };
    let pickled = || npy_of("{'descr': '|O', 'fortran_order': False, 'shape': (2, 1), }", b"\x80\x04cos\nsystem\n");
    check(&[], "data_empty", "empty");
    check(&[("Z", good())], "data_invalid", "no array X of shape (n, d); it has Z");
    check(&[("X", pickled())], "data_invalid", "array X: it is pickled");
    check(&[("X", good()), ("y", pickled())], "data_invalid", "array y: it is pickled");
    check(&[("X", npy("<f8", "(2,)", &floats(&[1.0, 2.0])))], "data_invalid", "expected (n, d)");
    check(&[("X", npy("<c16", "(1, 1)", &[0; 16]))], "data_invalid", "is not read");
    check(&[("X", npy("<f8", "(3, 1)", &floats(&[1.0, 2.0])))], "data_invalid", "needs 24 bytes, it holds 16");
    check(&[("X", npy("<f8", "(1, 1)", &floats(&[1.0, 2.0])))], "data_invalid", "holds more");
    check(&[("X", npy("<f8", "(2, 1)", &floats(&[1.0, f64::INFINITY])))], "data_invalid", "row 2, column \"x0\"");
    check(&[("X", good()), ("y", npy("<i8", "(3,)", &[0; 24]))], "data_invalid", "y has 3 values, X has 2 rows");
    check(&[("X", npy("<f8", "(0, 3)", &[]))], "data_empty", "no values");
    check(&[("X", npy("<f8", "(4294967296, 4294967296)", &[]))], "decompression_limit", "unpacks to more");
    check(&[("X", npy("<f8", "(99999999999999999999999, 1)", &[]))], "data_invalid", "header");
    check(&[("X", npy("<f8", "(100000000, 5)", &[]))], "body_too_large", "rows");
    check(&[("X", npy("<f8", "(1000, 30000)", &[]))], "too_many_columns", "30000");
    check(&[("X", b"not an array".to_vec())], "data_invalid", "not an NPY array");
    check(&[("X", b"\x93NUMPY\x02\x00\xff\xff\xff\xff".to_vec())], "data_invalid", "header");
    check(&[("X", npy_of(&"(".repeat(9000), &[]))], "data_invalid", "header");
    let whole = archive(&[("X", good())]);
    for end in 5..whole.len() {
        assert!(read(&Bytes::copy_from_slice(&whole[..end]).into(), &Options::default()).is_err(), "cut at {end}");
    }
}

#[test]
fn an_archive_that_unpacks_to_a_thousand_times_its_size_is_refused() {
    let rows = 9_000_000;
    let bomb = archive(&[("X", npy("<f8", &format!("({rows}, 1)"), &vec![0; 8 * rows]))]);
    assert!(bomb.len() < 1 << 20, "the zeros are packed");
    assert_eq!(refused(bomb, &Options::default()).0, "decompression_limit");
}
