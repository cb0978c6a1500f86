use super::*;

fn check(json: &str) -> Result<Layout, DecodeError> {
    value(json, 0, MAX_DEPTH, None)
}

fn placeholders(json: &str, attachments: usize) -> Result<Layout, DecodeError> {
    value(json, 0, MAX_DEPTH, Some(attachments))
}

#[test]
fn valid() {
    for json in [
        "null",
        "true",
        "false",
        "0",
        "-0",
        "-1",
        "10",
        "1.5",
        "1e5",
        "1E+5",
        "1e-5",
        "0.0",
        "-0.1e01",
        "1e999",
        "\"\"",
        "[]",
        "{}",
        " [ ] ",
        "\t{ }\r\n",
        "[[[]]]",
        r#"{"a":{"b":[1,{}]},"a":2}"#,
        "[1 , 2]",
        "\"\u{7f}€😀\"",
        r#""\"\\\/\b\f\n\r\t\u00e9\uD83D""#,
        r#""12345678\"12345678""#,
        "[\"1234567\",\"12345678\",\"123456789\"]",
    ] {
        assert!(check(json).is_ok(), "{json}");
        assert!(placeholders(json, 1).is_ok(), "{json}");
    }
}

#[test]
fn invalid() {
    for json in [
        "",
        " ",
        "nul",
        "nullx",
        "tru",
        "NaN",
        "Infinity",
        "-",
        "-Infinity",
        "+1",
        "01",
        "-01",
        "1.",
        ".5",
        "1e",
        "1e+",
        "0x1",
        "1_000",
        "'a'",
        "\"",
        "\"a",
        "\"\\\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\n\"",
        "\"\u{0}\"",
        "\"1234567\u{1f}\"",
        "\"12345678\u{1f}\"",
        "[",
        "]",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[1]]",
        "[}",
        "{]",
        "{",
        "}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "{1:1}",
        "{\"a\" 1}",
        "{\"a\":1 \"b\":2}",
        "{,}",
        "1 2",
        "[] []",
        "null,",
        "\u{feff}[]",
        "[1]\u{a0}",
        "/**/1",
        "{\"a\":1]",
        "[1}",
        "[\"a\":1]",
    ] {
        assert!(matches!(check(json), Err(DecodeError::InvalidJson { .. })), "{json:?}");
        assert!(matches!(placeholders(json, 1), Err(DecodeError::InvalidJson { .. })), "{json:?}");
    }
}

#[test]
fn the_error_says_where() {
    for (json, offset) in [("[1,x]", 3), ("[1", 2), ("\"ab\n\"", 3), ("[1] x", 4), ("{\"a\"1}", 4)] {
        assert_eq!(check(json).unwrap_err(), DecodeError::InvalidJson { offset }, "{json:?}");
    }
}

#[test]
fn layout() {
    let layout = check(" [1 ,[2,3], {\"a\":[4,5]} ] ").unwrap();
    assert_eq!((layout.span, &*layout.separators, layout.empty), (1..25, &[4, 10][..], false));
    let layout = elements("1,[2,3]", 64, None).unwrap();
    assert_eq!((layout.len(), &*layout.separators), (2, &[1][..]));
    for (json, len) in [("", 0), (" ", 0), ("[]", 1), ("{}", 1), ("[],{}", 2), ("1", 1), (" 1 , 2 , 3 ", 3)] {
        assert_eq!(elements(json, 64, None).unwrap().len(), len, "{json}");
    }
    for (json, len) in [("[]", 0), ("[ ]", 0), ("[[]]", 1), ("[{}]", 1), ("[[],[]]", 2)] {
        assert_eq!(check(json).unwrap().len(), len, "{json}");
    }
    for json in ["]", "1]", "[1", "1,", ",", ",1", "1],[2", "1}"] {
        assert!(elements(json, 64, None).is_err(), "{json}");
    }
}

#[test]
fn depth() {
    for max in [1, 2, 64, MAX_DEPTH, usize::MAX] {
        let deepest = max.min(MAX_DEPTH);
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let nested = |depth: usize| format!("{}1{}", open.repeat(depth), close.repeat(depth));
            assert!(value(&nested(deepest), 0, max, None).is_ok());
            assert_eq!(value(&nested(deepest + 1), 0, max, None).unwrap_err(), DecodeError::TooDeep);
            // The array around elements counts, although it is not there.
            assert!(elements(&nested(deepest - 1), max, None).is_ok());
            assert_eq!(elements(&nested(deepest), max, None).unwrap_err(), DecodeError::TooDeep);
        }
    }
    assert!(
        serde_json::from_str::<crate::value::Value>(&("[".repeat(MAX_DEPTH) + &"]".repeat(MAX_DEPTH)))
            .is_ok()
    );
}

#[test]
fn placeholders_refer_to_attachments() {
    for json in [
        r#"[{"_placeholder":true,"num":0}]"#,
        r#"[{"num":1,"_placeholder":true}]"#,
        r#"[{ "_placeholder" : true , "num" : 1 , "more" : [{}] }]"#,
        r#"{"a":[1,{"b":{"_placeholder":true,"num":1}}],"c":{"_placeholder":true,"num":0}}"#,
        r#"[{"\u005fplaceholder":true,"n\u0075m":1}]"#,
        r#"[{"_placeholder":true,"num":7,"num":1}]"#,
        // Not placeholders.
        r#"[{"_placeholder":false,"num":9}]"#,
        r#"[{"_placeholder":1,"num":9}]"#,
        r#"[{"_placeholder":"true"}]"#,
        r#"[{"_placeholder":{},"num":9}]"#,
        r#"[{"_placeholder":true,"_placeholder":null}]"#,
        r#"["_placeholder",true,"num",9]"#,
        r#"[{"num":9,"a":{"_placeholder":[true]}}]"#,
        r#"[{"_placeholder":{"a":true}}]"#,
    ] {
        assert!(placeholders(json, 2).is_ok(), "{json}");
    }
    for json in [
        r#"[{"_placeholder":true,"num":2}]"#,
        // Twice: a small packet would become a large value.
        r#"[{"_placeholder":true,"num":1},{"_placeholder":true,"num":1}]"#,
        r#"[{"_placeholder":true}]"#,
        r#"[{"_placeholder":true,"num":-1}]"#,
        r#"[{"_placeholder":true,"num":-0}]"#,
        r#"[{"_placeholder":true,"num":0.0}]"#,
        r#"[{"_placeholder":true,"num":0e0}]"#,
        r#"[{"_placeholder":true,"num":"0"}]"#,
        r#"[{"_placeholder":true,"num":null}]"#,
        r#"[{"_placeholder":true,"num":[0]}]"#,
        r#"[{"_placeholder":true,"num":{"num":0}}]"#,
        r#"[{"_placeholder":true,"num":99999999999999999999}]"#,
        r#"[{"num":0,"_placeholder":true,"num":2}]"#,
        r#"[{"\u005fplaceholder":true,"num":2}]"#,
        r#"{"a":{"_placeholder":true,"num":0},"b":[[{"_placeholder":true,"num":2}]]}"#,
    ] {
        assert_eq!(placeholders(json, 2).unwrap_err(), DecodeError::IllegalAttachments, "{json}");
        assert!(check(json).is_ok(), "{json}");
    }
}

#[test]
fn special_bytes_at_every_place() {
    for byte in 0..=255_u8 {
        let special = byte < 0x20 || byte == b'"' || byte == b'\\';
        for place in 0..8 {
            let mut word = [0xff; 8];
            word[place] = byte;
            let found = special_bytes(u64::from_le_bytes(word));
            assert_eq!(found != 0, special, "{byte}");
            assert!(!special || found.trailing_zeros() as usize / 8 == place, "{byte}");
        }
    }
}
