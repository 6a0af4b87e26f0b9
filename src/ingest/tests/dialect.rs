//! What is said about CSV, and what is guessed of it.

use super::*;

#[track_caller]
fn csv(change: impl FnOnce(&mut CsvOptions)) -> Options {
    with(|o| change(&mut o.csv))
}

#[track_caller]
fn column_of(source: impl Into<Bytes>, options: &Options, name: &str) -> Values {
    read(&source.into().into(), options).unwrap().table.column(name).unwrap().values.clone()
}

#[test]
fn what_is_said_outweighs_what_would_be_guessed() {
    let semicolons = csv(|o| o.delimiter = Some(";".parse().unwrap()));
    assert_eq!(column_of("a,b;c\n1,5;2\n", &semicolons, "a,b"), Values::categories([Some("1,5")]));
    let colons = csv(|o| o.delimiter = Some(":".parse().unwrap()));
    assert_eq!(column_of("a:b\n1:2\n", &colons, "b"), Values::Integer(vec![Some(2)]));
    let apostrophes = csv(|o| o.quote = Some("'".parse().unwrap()));
    assert_eq!(column_of("'a,b',c\n'x,y',1\n", &apostrophes, "a,b"), Values::categories([Some("x,y")]));
    let unquoted = csv(|o| o.quote = Some("none".parse().unwrap()));
    assert_eq!(column_of("a,b\n5\",6\n", &unquoted, "a"), Values::categories([Some("5\"")]));
    let marks = csv(|o| o.missing = "-999, unknown".parse().unwrap());
    assert_eq!(column_of("a,b\n1,x\n-999,unknown\n?,y\n", &marks, "a"), Values::Integer(vec![Some(1), None, None]));
    assert_eq!(column_of("b\nx\n unknown \n", &marks, "b"), Values::categories([Some("x"), None]));
    // Words after numbers are read again, with the same marks.
    assert_eq!(column_of("b\n-999\n1\nx\n", &marks, "b"), Values::categories([None, Some("1"), Some("x")]));
}

#[test]
fn tsv_is_split_at_tabs_whatever_its_header_holds() {
    let tsv = with(|o| o.media_type = Some("text/tab-separated-values".into()));
    let source = "size, cm, raw\tb\n1\t2\n";
    assert_eq!(column_of(source, &tsv, "size, cm, raw"), Values::Integer(vec![Some(1)]));
    assert_eq!(refused(source, &Options::default()).0, "data_invalid", "the comma would be guessed");
}

#[test]
fn a_first_line_of_numbers_is_a_row() {
    let found = table("1.5,2\n3,4\n");
    assert_eq!(found.table.column("x0").unwrap().values, Values::Number(vec![Some(1.5), Some(3.0)]));
    assert_eq!(found.table.column("x1").unwrap().values, Values::Integer(vec![Some(2), Some(4)]));
    assert!(found.notes[0].contains("header=present"), "{:?}", found.notes);
    assert_eq!(found.dialect.unwrap().header, HeaderRow::None);
    let present = csv(|o| o.header = HeaderRow::Present);
    assert_eq!(column_of("2019,2020\n3,4\n", &present, "2019"), Values::Integer(vec![Some(3)]));
    let none = csv(|o| o.header = HeaderRow::None);
    assert_eq!(column_of("u,1\nv,2\n", &none, "x0"), Values::categories([Some("u"), Some("v")]));
    let (_, place, message) = refused("1,2\n3\n", &none);
    assert_eq!((place.row, place.line), (Some(2), Some(2)));
    assert!(message.contains("the first row has 2"), "{message}");
}

#[test]
fn text_in_other_encodings_is_guessed_and_noted() {
    let found = read(&Bytes::from_static(b"a,b\n1,M\xfcnchen\n").into(), &Options::default()).unwrap();
    assert_eq!(found.table.column("b").unwrap().values, Values::categories([Some("München")]));
    assert!(found.notes[0].contains("byte 7 (line 2) is not UTF-8: read as windows-1252"), "{:?}", found.notes);
    assert_eq!(found.dialect.unwrap().encoding.to_string(), "windows-1252");
    let japanese = csv(|o| o.encoding = Some("shift_jis".parse().unwrap()));
    assert_eq!(column_of(&b"a,b\n1,\x93\xfa\x96{\n"[..], &japanese, "b"), Values::categories([Some("日本")]));
    let charset = with(|o| o.media_type = Some("text/csv; charset=\"ISO-8859-2\"".into()));
    assert_eq!(column_of(&b"a\n\xb1\n"[..], &charset, "a"), Values::categories([Some("ą")]));
    let utf16: Vec<u8> = "a\nü\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let named = csv(|o| o.encoding = Some("utf-16le".parse().unwrap()));
    assert_eq!(column_of(utf16, &named, "a"), Values::categories([Some("ü")]));
}

#[test]
fn a_wrong_encoding_is_refused_at_its_byte() {
    let utf8 = csv(|o| o.encoding = Some("UTF8".parse().unwrap()));
    let (code, place, message) = refused(b"a,b\n1,M\xfcnchen\n".to_vec(), &utf8);
    assert_eq!((code, place.byte, place.line), ("encoding_error", Some(7), Some(2)));
    assert!(message.contains("save the file as UTF-8"));
    let (code, place, _) = refused(b"\xff\xfea\0\x00\xd8".to_vec(), &Options::default());
    assert_eq!((code, place.byte), ("encoding_error", Some(4)));
    assert_eq!(refused(b"\xff\xfea\0b".to_vec(), &Options::default()).0, "encoding_error");
    let japanese = csv(|o| o.encoding = Some("shift_jis".parse().unwrap()));
    let long = [b"a\n".to_vec(), b"x\n".repeat(50_000), b"\x93\n\n".to_vec()].concat();
    let (code, place, message) = refused(long, &japanese);
    assert_eq!((code, place.line), ("encoding_error", Some(50_002)), "{message}");
    assert_eq!(refused("{\"a\":1}\n{\"a\":\"\u{fc}\"}".replace('ü', "\u{80}"), &Options::default()).0, "data_invalid");
}

#[test]
fn what_cannot_be_said_is_refused() {
    for bad in ["", "ab", "\u{a6}", "\n", "a", "1"] {
        assert!(bad.parse::<Delimiter>().is_err(), "{bad:?}");
        assert!(bad.parse::<Quote>().is_err(), "{bad:?}");
    }
    for bad in ["", "utf-9", "replacement", "iso-2022-kr"] {
        assert!(bad.parse::<TextEncoding>().is_err(), "{bad:?}");
    }
    assert!("x".repeat(41).parse::<MissingMarks>().is_err());
    let same = csv(|o| (o.delimiter, o.quote) = (Some("|".parse().unwrap()), Some("|".parse().unwrap())));
    assert_eq!(refused("a|b\n1|2\n", &same).0, "invalid_parameter");
    let json = csv(|o| o.header = HeaderRow::None);
    let (code, _, message) = refused("[{\"a\":1}]", &json);
    assert_eq!(code, "invalid_parameter", "{message}");
    let charset = with(|o| o.media_type = Some("text/csv; charset=klingon".into()));
    assert_eq!(refused("a\n1\n", &charset).0, "unsupported_media_type");
}

#[test]
fn only_what_is_said_is_written() {
    let said = csv(|o| {
        o.delimiter = Some("tab".parse().unwrap());
        o.encoding = Some("latin1".parse().unwrap());
        o.missing = "b,a,b".parse().unwrap();
    });
    let text = serde_json::to_string(&said.csv).unwrap();
    assert_eq!(text, r#"{"delimiter":"tab","encoding":"windows-1252","missing":"a,b"}"#);
    assert_eq!(serde_json::from_str::<CsvOptions>(&text).unwrap(), said.csv);
    let utf8 = csv(|o| o.encoding = Some("utf-8".parse().unwrap()));
    assert_eq!(serde_json::to_string(&utf8.csv).unwrap(), "{}", "as if it were not said");
}
