use std::borrow::Cow;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use serde_json::value::RawValue;

use super::*;

/// What serialises as bytes.
struct Blob(&'static [u8]);

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

#[derive(Serialize)]
struct Newtype<T>(T);

#[derive(Serialize)]
struct Point(i32, i32);

#[derive(Serialize)]
struct Nothing;

fn encode<T: Serialize + ?Sized>(value: &T) -> (usize, String, Vec<Bytes>) {
    let (mut json, mut attachments) = (Vec::new(), Vec::new());
    let count = encode_args(value, &mut json, &mut attachments).unwrap();
    (count, String::from_utf8(json).unwrap(), attachments)
}

#[track_caller]
fn check<T: Serialize + ?Sized>(value: &T, count: usize, json: &str) {
    assert_eq!(encode(value), (count, json.to_owned(), Vec::new()));
}

#[test]
fn tuples_are_several_arguments() {
    check(&(1, "a", true), 3, r#"1,"a",true"#);
    check(&(1,), 1, "1");
    check(&((1, 2), [3, 4]), 2, "[1,2],[3,4]");
    check(&([(1, 2)], ()), 2, "[[1,2]],null");
    check(&&&(1, 2), 2, "1,2");
    check(&Box::new((1, 2)), 2, "1,2");
    check(&Some((1, 2)), 2, "1,2");
    check(&Newtype((1, 2)), 2, "1,2");
    check(&("[]", BTreeMap::from([("a", [1])])), 2, r#""[]",{"a":[1]}"#);
}

#[test]
fn unit_is_none() {
    check(&(), 0, "");
    check(&Newtype(()), 0, "");
}

#[test]
fn everything_else_is_one() {
    check(&1, 1, "1");
    check(&-1_i128, 1, "-1");
    check("a€\n", 1, r#""a€\n""#);
    check(&'x', 1, r#""x""#);
    check(&None::<i32>, 1, "null");
    check(&Value::Null, 1, "null");
    check(&Nothing, 1, "null");
    check(&vec![1, 2], 1, "[1,2]");
    check(&[1, 2][..], 1, "[1,2]");
    check(&Vec::<i32>::new(), 1, "[]");
    check(&Point(1, 2), 1, "[1,2]");
    check(&Newtype("x"), 1, r#""x""#);
    check(&BTreeMap::from([(1, vec![(2, 3)])]), 1, r#"{"1":[[2,3]]}"#);
    check(&Ok::<i32, i32>(1), 1, r#"{"Ok":1}"#);
    check(&RawValue::from_string("[1, 2]".to_owned()).unwrap(), 1, "[1, 2]");
    check(&format_args!("{}", 1), 1, r#""1""#);
}

/// Guards the way by which arrays are told from tuples: the name of the type.
#[test]
fn arrays_are_one() {
    check(&[1, 2], 1, "[1,2]");
    check(&[0; 0], 1, "[]");
    check(&&&mut [1, 2], 1, "[1,2]");
    check(&&"ab".bytes().collect::<Vec<_>>().first_chunk::<2>(), 1, "[97,98]");
    check(&[(1, 2)], 1, "[[1,2]]");
    check(&Some([1, 2]), 1, "[1,2]");
    check(&Newtype([1, 2]), 1, "[1,2]");
    check(&Newtype(Some(&[1, 2])), 1, "[1,2]");
    check(&Box::new([1, 2]), 1, "[1,2]");
    check(&Cow::Borrowed(&[1, 2]), 1, "[1,2]");
    assert!(is_array::<&'static &'static mut [u8; 4]>());
    assert!(is_array::<Box<Arc<Rc<Cow<'static, [u8; 4]>>>>>());
    assert!(!is_array::<([u8; 4],)>() && !is_array::<Option<[u8; 4]>>());
}

#[test]
fn binary_becomes_placeholders_in_order() {
    let (count, json, attachments) =
        encode(&(Blob(b"a"), vec![BTreeMap::from([("k", Blob(b"b"))])], 1, Some(Blob(b""))));
    assert_eq!(count, 4);
    assert_eq!(
        json,
        r#"{"_placeholder":true,"num":0},[{"k":{"_placeholder":true,"num":1}}],1,{"_placeholder":true,"num":2}"#
    );
    assert_eq!(attachments, [&b"a"[..], b"b", b""]);
    assert_eq!(encode(&Blob(b"x")).1, r#"{"_placeholder":true,"num":0}"#);
}

#[test]
fn what_is_there_is_kept() {
    let (mut json, mut attachments) = (b"1,".to_vec(), vec![Bytes::from_static(b"first")]);
    assert_eq!(encode_args(&Blob(b"second"), &mut json, &mut attachments).unwrap(), 1);
    assert_eq!(json, br#"1,{"_placeholder":true,"num":1}"#);
    assert_eq!(attachments, [&b"first"[..], b"second"]);
}

#[test]
fn text_is_written_as_serde_json_writes_it() {
    let long = "x".repeat(1000);
    for special in (0..=0x7f_u8).map(char::from).chain(['\u{80}', '\u{2028}', 'ß', '🦀']) {
        for text in [format!("{special}"), format!("{special}{long}"), format!("{long}{special}")] {
            check(&text, 1, &serde_json::to_string(&text).unwrap());
            // What is binary after it is still put aside.
            let (_, json, attachments) = encode(&(Some(&text), Blob(b"a")));
            assert_eq!((json.ends_with(r#",{"_placeholder":true,"num":0}"#), attachments.len()), (true, 1));
        }
    }
}

/// Data that has one value at every place that a serialiser knows.
fn places(number: impl Serialize + Copy + 'static) -> Vec<Box<dyn Fn() -> Result<String, EncodeError>>> {
    #[derive(Serialize)]
    struct Tuple<T>(u8, T);
    #[derive(Serialize)]
    struct Struct<T> {
        field: T,
    }
    #[derive(Serialize)]
    enum Enum<T> {
        Newtype(T),
        Tuple(u8, T),
        Struct { field: T },
    }
    #[derive(Serialize)]
    struct Flat<T> {
        #[serde(flatten)]
        inner: Struct<T>,
    }
    fn place(value: impl Serialize + 'static) -> Box<dyn Fn() -> Result<String, EncodeError>> {
        Box::new(move || {
            let (mut json, mut attachments) = (b"kept,".to_vec(), vec![Bytes::from_static(b"kept")]);
            let result = encode_args(&value, &mut json, &mut attachments);
            if result.is_err() {
                assert_eq!((&*json, attachments.len()), (&b"kept,"[..], 1));
            }
            result.map(|_| String::from_utf8(json).unwrap().split_off(5))
        })
    }
    macro_rules! at_the_top_and_within {
        ($($value:expr),* $(,)?) => {
            vec![$(place($value), place((Blob(b"x"), $value)), place(Some([$value]))),*]
        };
    }
    at_the_top_and_within![
        number,
        Some(number),
        Newtype(number),
        [number],
        vec![number],
        (1, number),
        Tuple(1, number),
        Struct { field: number },
        Flat { inner: Struct { field: number } },
        Enum::Newtype(number),
        Enum::Tuple(1, number),
        Enum::Struct { field: number },
        BTreeMap::from([("key", number)]),
        Ok::<_, u8>(number),
        Box::new(number),
    ]
}

/// F-ARG-06, F-ARG-09: what JSON has no number for is refused wherever it is, by its name, and leaves nothing behind.
#[test]
fn numbers_that_json_does_not_have_are_refused_everywhere() {
    let all = [
        (places(f64::NAN), "NaN"),
        (places(f64::INFINITY), "inf"),
        (places(f64::NEG_INFINITY), "-inf"),
        (places(f32::NAN), "NaN"),
        (places(f32::NEG_INFINITY), "-inf"),
    ];
    for (places, name) in all {
        for (index, encode) in places.iter().enumerate() {
            let error = encode().expect_err(&format!("{name} at place {index}"));
            assert_eq!(error.to_string(), format!("the data cannot be sent: {name} is no number in JSON"));
        }
    }
    // The same places take any other number.
    for (places, json) in [(places(-0.5), "-0.5"), (places(2.5_f32), "2.5"), (places(None::<f64>), "null")] {
        for (index, encode) in places.iter().enumerate() {
            let written = encode().unwrap_or_else(|error| panic!("{json} at place {index}: {error}"));
            assert!(written.contains(json), "{written}");
        }
    }
}

/// F-ARG-06: a number that is a key is text in JSON; that of no number is refused, too.
#[test]
fn keys_that_are_no_numbers_are_refused() {
    /// A map with one key.
    struct Keyed<T>(T);

    impl<T: Serialize> Serialize for Keyed<T> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut map = serializer.serialize_map(Some(1))?;
            map.serialize_entry(&self.0, &1)?;
            map.end()
        }
    }

    check(&Keyed(1.5), 1, r#"{"1.5":1}"#);
    check(&Keyed(Newtype(Some(0.5_f32))), 1, r#"{"0.5":1}"#);
    fn refused(key: impl Serialize) {
        let error = encode_args(&[Keyed(key)], &mut Vec::new(), &mut Vec::new()).unwrap_err().to_string();
        assert_eq!(error, "the data cannot be sent: float key must be finite (got NaN or +/-inf)");
    }
    refused(f64::NAN);
    refused(f32::INFINITY);
    refused(Newtype(Some(f64::NEG_INFINITY)));
}

/// What has made its own `null` of such a number already, before it is sent.
#[test]
fn json_values_hold_null_in_place_of_such_numbers() {
    check(&serde_json::json!([f64::NAN, f32::INFINITY]), 1, "[null,null]");
    check(&Value::from(vec![f64::NAN]), 1, "[null]");
}

#[test]
fn nothing_is_left_of_a_value_that_cannot_be_sent() {
    let (mut json, mut attachments) = (b"kept".to_vec(), vec![Bytes::from_static(b"kept")]);
    let value = (1, Blob(b"x"), BTreeMap::from([(vec![1], 1)]));
    let error = encode_args(&value, &mut json, &mut attachments).unwrap_err();
    assert!(error.to_string().starts_with("the data cannot be sent: "), "{error}");
    assert_eq!((&*json, attachments.len()), (&b"kept"[..], 1));
}

#[test]
fn values_share_their_buffers() {
    let data = Bytes::from(vec![1, 2, 3]);
    let value = Value::from(vec![Value::from(data.clone()), Value::Null, data.slice(1..).into()]);
    let (_, _, attachments) = encode(&(1, value));
    assert_eq!(attachments[0].as_ptr(), data.as_ptr());
    assert_eq!(attachments[1].as_ptr(), data[1..].as_ptr());
    assert_eq!(attachments.len(), 2);
}

#[test]
fn data_that_looks_like_a_placeholder_stays() {
    check(&serde_json::json!({ "_placeholder": true, "num": 9 }), 1, r#"{"_placeholder":true,"num":9}"#);
}

#[test]
fn an_outcome_sees_through_results() {
    fn outcome(value: impl Serialize) -> (bool, String) {
        let mut json = Vec::new();
        let good = super::encode_outcome(&value, &mut json, &mut Vec::new()).unwrap();
        (good, String::from_utf8(json).unwrap())
    }
    assert_eq!(outcome(Ok::<_, &str>((1, "a"))), (true, r#"1,"a""#.into()));
    assert_eq!(outcome(Ok::<_, &str>(())), (true, String::new()));
    assert_eq!(outcome(Err::<u8, _>("bad")), (false, r#""bad""#.into()));
    assert_eq!(outcome(Err::<u8, _>((1, 2))), (false, "[1,2]".into()));
    assert_eq!(outcome(7), (true, "7".into()));
}
