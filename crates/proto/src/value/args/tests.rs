use std::collections::{BTreeMap, HashMap};

use bytestring::ByteString;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::*;

fn args(json: &str) -> RawArgs {
    RawArgs::from_json_elements(json.into(), Vec::new()).unwrap()
}

fn binary_args(json: &str, attachments: &[&'static [u8]]) -> RawArgs {
    let attachments = attachments.iter().map(|data| Bytes::from_static(data)).collect();
    RawArgs::from_json_elements(json.into(), attachments).unwrap()
}

fn decode<T: DeserializeOwned>(json: &str) -> Result<T, (usize, bool)> {
    decode_args(&args(json))
        .map_err(|error: ArgsError| (error.index, matches!(error.cause, ArgsErrorCause::Missing)))
}

#[derive(Debug, PartialEq, Deserialize)]
struct Point {
    x: i32,
    y: i32,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Pair(i32, i32);

#[derive(Debug, PartialEq, Deserialize)]
struct Newtype<T>(T);

/// What deserialises from bytes.
#[derive(Debug, PartialEq)]
struct Blob(Vec<u8>);

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BlobVisitor;
        impl Visitor<'_> for BlobVisitor {
            type Value = Blob;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }
            fn visit_byte_buf<E>(self, data: Vec<u8>) -> Result<Blob, E> {
                Ok(Blob(data))
            }
        }
        deserializer.deserialize_byte_buf(BlobVisitor)
    }
}

const MISSING: bool = true;
const INVALID: bool = false;

#[test]
fn what_is_taken_is_counted() {
    fn taken<T: DeserializeOwned>(json: &str) -> usize {
        decode_args_counted::<T>(&args(json)).unwrap().1
    }
    let three = "1,[2,2],3";
    assert_eq!(taken::<()>(three), 0);
    assert_eq!(taken::<i32>(three), 1);
    assert_eq!(taken::<Newtype<i32>>(three), 1);
    assert_eq!(taken::<Value>(three), 1);
    assert_eq!(taken::<(i32,)>(three), 1);
    assert_eq!(taken::<(i32, Pair)>(three), 2);
    assert_eq!(taken::<Option<(i32, [u8; 2])>>(three), 2);
    assert_eq!(taken::<(i32, Vec<u8>, i32)>(three), 3);
    assert_eq!(taken::<(i32, Value, i32, Option<i32>)>(three), 4, "absent, but asked for");
    assert_eq!(taken::<de::IgnoredAny>(three), 3);
    let duplicates = r#"{"x":1,"x":2,"y":3},4"#;
    assert_eq!(taken::<Point>(duplicates), 1, "also when it is decoded a second time");
}

#[derive(Debug, PartialEq)]
struct All(Vec<Value>);

impl<'de> Deserialize<'de> for All {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        super::super::deserialize_all(deserializer).map(Self)
    }
}

#[test]
fn all_arguments_are_however_many_there_are() {
    for json in ["", "1", "null", "[1,2]", "1,\"a\",[true,null],{\"x\":1}", r#""\ud800",2"#] {
        let args = args(json);
        let (All(values), taken) = decode_args_counted(&args).unwrap();
        assert_eq!((&values, taken), (&decode_all(&args).unwrap(), args.len()), "{json}");
    }
    assert_eq!(decode::<Option<All>>(""), Ok(None));
    assert_eq!(decode::<Newtype<All>>("1,2"), Ok(Newtype(All(vec![1.into(), 2.into()]))));
    assert_eq!(decode::<All>("1,1e400"), Err((1, INVALID)));

    let args =
        binary_args(r#"1,{"_placeholder":true,"num":0},[{"_placeholder":true,"num":1}]"#, &[b"a", b"b"]);
    let All(values) = decode_args(&args).unwrap();
    assert_eq!(values, decode_all(&args).unwrap());
    assert_eq!(values[1].as_binary().unwrap().as_ptr(), args.attachments()[0].as_ptr(), "shared");
}

#[test]
fn all_arguments_are_a_list_anywhere_else() {
    let list = || All(vec![1.into(), 2.into()]);
    assert_eq!(decode("0,[1,2],3"), Ok((0, list())));
    assert_eq!(decode::<(i32, All)>("0,1"), Err((1, INVALID)));
    assert_eq!(serde_json::from_str::<All>("[1,2]").unwrap(), list());
    assert!(serde_json::from_str::<All>("1").is_err());
    let args = binary_args(r#"0,[{"_placeholder":true,"num":0}]"#, &[b"a"]);
    let (_, All(values)): (i32, All) = decode_args(&args).unwrap();
    assert_eq!(values[0].as_binary().unwrap().as_ptr(), args.attachments()[0].as_ptr(), "shared");
}

#[test]
fn tuples_are_positional() {
    assert_eq!(decode("1,\"a\",true"), Ok((1, "a".to_owned(), true)));
    assert_eq!(decode("1,\"a\",true"), Ok((1, "a".to_owned())));
    assert_eq!(decode("1,\"a\",true"), Ok((1,)));
    assert_eq!(decode("[1,2],3"), Ok(((1, 2), 3)));
    assert_eq!(decode::<(i32, String)>("1"), Err((1, MISSING)));
    assert_eq!(decode::<(i32, String)>(""), Err((0, MISSING)));
    assert_eq!(decode::<(i32, String)>("1,2"), Err((1, INVALID)));
    assert_eq!(decode::<(i32, String)>("\"a\",2"), Err((0, INVALID)));
    assert_eq!(decode::<Newtype<(i32, i32)>>("1,2"), Ok(Newtype((1, 2))));
}

#[test]
fn everything_else_is_the_first_argument() {
    assert_eq!(decode("1,2"), Ok(1));
    assert_eq!(decode(r#"{"x":1,"y":2},3"#), Ok(Point { x: 1, y: 2 }));
    assert_eq!(decode("[1,2],3"), Ok(vec![1, 2]));
    assert_eq!(decode("[1,2],3"), Ok([1, 2]));
    assert_eq!(decode("[1,2],3"), Ok(Box::new([1, 2])));
    assert_eq!(decode("[1,2],3"), Ok(Newtype([1, 2])));
    assert_eq!(decode("[[1,2],[3,4]]"), Ok([(1, 2), (3, 4)]));
    assert_eq!(decode("[1,2],3"), Ok(Pair(1, 2)));
    assert_eq!(decode("\"x\""), Ok(Newtype("x".to_owned())));
    assert_eq!(decode("\"x\",1"), Ok(Value::from("x")));
    assert_eq!(decode::<i32>(""), Err((0, MISSING)));
    assert_eq!(decode::<Vec<i32>>("1"), Err((0, INVALID)));
    assert_eq!(decode::<[i32; 2]>("[1]"), Err((0, INVALID)));
    assert_eq!(decode::<Value>(""), Err((0, MISSING)));
}

#[test]
fn unit_takes_anything() {
    for json in ["", "1", "1,2", "null", "{}"] {
        assert_eq!(decode(json), Ok(()));
    }
    assert_eq!(decode("1,null"), Ok((1, ())));
    assert_eq!(decode("1"), Ok((1, ())));
    assert_eq!(decode::<(i32, ())>("1,2"), Err((1, INVALID)));
}

#[test]
fn option_may_be_absent() {
    assert_eq!(decode(""), Ok(None::<i32>));
    assert_eq!(decode("null"), Ok(None::<i32>));
    assert_eq!(decode("1"), Ok(Some(1)));
    assert_eq!(decode("1"), Ok((1, None::<String>)));
    assert_eq!(decode("1,null"), Ok((1, None::<String>)));
    assert_eq!(decode("1,\"a\""), Ok((1, Some("a".to_owned()))));
    assert_eq!(decode("1,2"), Ok(Some((1, 2))));
    assert_eq!(decode::<(i32, Option<String>)>("1,2"), Err((1, INVALID)));
    assert_eq!(decode::<(i32, Newtype<i32>)>("1"), Err((1, MISSING)));
}

#[test]
fn numbers() {
    assert_eq!(decode("9007199254740993"), Ok(9_007_199_254_740_993_i64));
    assert_eq!(decode("18446744073709551615"), Ok(u64::MAX));
    assert_eq!(
        decode::<Value>("18446744073709551616").map(|value| value.as_f64()),
        Ok(Some(18_446_744_073_709_551_616.0))
    );
    assert_eq!(decode::<f64>("1e999"), Err((0, INVALID)));
    assert_eq!(decode::<u8>("256"), Err((0, INVALID)));
}

#[test]
fn text_can_be_borrowed() {
    let args = args(r#""borrowed",1"#);
    let (text, _): (&str, i32) = decode_args(&args).unwrap();
    assert_eq!(text.as_ptr(), args.json()[1..].as_ptr());
    let (raw, _): (&RawValue, i32) = decode_args(&args).unwrap();
    assert_eq!(raw.get(), r#""borrowed""#);
}

#[test]
fn lone_surrogates_become_replacement_characters() {
    assert_eq!(decode(r#""\ud800""#), Ok("\u{fffd}".to_owned()));
    assert_eq!(
        decode(r#"{"\udc00":"\ud83d\ude00"}"#),
        Ok(HashMap::from([("\u{fffd}".to_owned(), "😀".to_owned())]))
    );
    assert_eq!(decode_value::<String>(r#""\ud800""#, &[]).unwrap(), "\u{fffd}");
    let args = args(r#"1,["\ud800"]"#);
    assert_eq!(decode_all(&args).unwrap()[1][0].as_str(), Some("\u{fffd}"));
    assert!(decode_value::<String>(r#""\ud800"#, &[]).is_err());
}

#[test]
fn the_last_duplicate_counts() {
    assert_eq!(decode(r#"{"x":1,"y":2,"x":3}"#), Ok(Point { x: 3, y: 2 }));
    assert_eq!(
        decode(r#"{"x":1,"y":2,"x":3}"#),
        Ok(HashMap::from([("x".to_owned(), 3), ("y".to_owned(), 2)]))
    );
    assert_eq!(decode::<Point>(r#"{"x":1,"y":2,"x":"no"}"#), Err((0, INVALID)));
}

#[test]
fn binary() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Upload {
        name: ByteString,
        parts: Vec<Blob>,
        list: Vec<u8>,
        #[serde(default)]
        absent: Option<Blob>,
    }
    let args = binary_args(
        r#"{"name":"n","parts":[{"_placeholder":true,"num":1},{"num":0,"_placeholder":true}],"list":{"_placeholder":true,"num":2}},2"#,
        &[b"zero", b"one", b"two"],
    );
    let (upload, number): (Upload, i32) = decode_args(&args).unwrap();
    let parts = vec![Blob(b"one".to_vec()), Blob(b"zero".to_vec())];
    assert_eq!(upload, Upload { name: "n".into(), parts, list: b"two".to_vec(), absent: None });
    assert_eq!(number, 2);
    let value: Value = decode_args(&args).unwrap();
    assert_eq!(value["parts"][1].as_binary().unwrap().as_ptr(), args.attachments()[0].as_ptr());
    assert_eq!(decode_args::<(RawOwned,)>(&args).unwrap().0.get(), args.get(0).unwrap());
    assert_eq!(decode_args::<(Value, i32)>(&args).unwrap().0, value);
    assert_eq!(decode_all(&args).unwrap(), [value, 2.into()]);
    assert_eq!(decode_args::<(Value, i32, i32)>(&args).unwrap_err().to_string(), "argument 2 is missing");
}

type RawOwned = Box<RawValue>;

#[test]
fn a_value_in_a_structure_shares_its_buffer() {
    #[derive(Deserialize)]
    struct Message {
        body: Value,
        rest: BTreeMap<String, Value>,
    }
    let args = binary_args(
        r#"{"body":{"_placeholder":true,"num":0},"rest":{"null":null,"b":[{"_placeholder":true,"num":1}]}}"#,
        &[b"data", b"more"],
    );
    let message: Message = decode_args(&args).unwrap();
    let address = |index: usize| args.attachments()[index].as_ptr();
    assert_eq!(message.body.as_binary().unwrap().as_ptr(), address(0));
    assert_eq!(message.rest["b"][0].as_binary().unwrap().as_ptr(), address(1));
    assert_eq!(message.rest["null"], Value::Null);
}

#[test]
fn a_placeholder_without_attachments_is_plain_data() {
    let json = r#"{"_placeholder":true,"num":9}"#;
    let value: Value = decode(json).unwrap();
    assert_eq!(value["num"], 9.into());
    assert!(!value.has_binary());
    assert!(decode_value::<Value>(json, &[]).is_ok());
    assert!(decode_value::<Value>(json, &[Bytes::new()]).is_err());
}

#[test]
fn values_deserialise_as_json_does() {
    #[derive(Debug, PartialEq, Deserialize)]
    enum Kind {
        Unit,
        Newtype(i32),
        Tuple(i32, i32),
        Struct { a: i32 },
    }
    let json = r#"["Unit",{"Newtype":1},{"Tuple":[1,2]},{"Struct":{"a":1}},{"Unit":null}]"#;
    let kinds: Vec<Kind> = serde_json::from_str(json).unwrap();
    assert_eq!(Vec::<Kind>::deserialize(decode::<Value>(json).unwrap()).unwrap(), kinds);
    for json in [r#"["Newtype"]"#, r#"[{"Unit":1}]"#, r#"[{"Unit":null,"Newtype":1}]"#, "[1]", r#"["None"]"#]
    {
        assert!(Vec::<Kind>::deserialize(decode::<Value>(json).unwrap()).is_err(), "{json}");
    }
    let keys = decode::<Value>(r#"{"1":true,"-2":false}"#).unwrap();
    assert_eq!(
        BTreeMap::<i8, bool>::deserialize(keys.clone()).unwrap(),
        BTreeMap::from([(1, true), (-2, false)])
    );
    assert!(BTreeMap::<u8, bool>::deserialize(keys).is_err());
    assert!(<(i32, i32)>::deserialize(decode::<Value>("[1,2,3]").unwrap()).is_err());
}

#[test]
fn errors_say_which_argument() {
    let error = decode_args::<(i32, Point)>(&args(r#"1,{"x":1}"#)).unwrap_err();
    assert!(error.to_string().starts_with("argument 1: missing field `y`"), "{error}");
    assert!(std::error::Error::source(&error).is_some());
}

#[test]
fn binary_is_not_taken_for_text() {
    let sent = binary_args(r#"{"_placeholder":true,"num":0}"#, &[b"text"]);
    assert_eq!(decode_args::<String>(&sent).unwrap_err().index, 0);
    assert_eq!(decode_args::<Blob>(&sent).unwrap(), Blob(b"text".to_vec()));
}

#[test]
fn errors_do_not_quote_what_was_received() {
    let error = decode_args::<u32>(&args(r#""my secret, expected nothing""#)).unwrap_err();
    assert_eq!(error.to_string(), "argument 0: expected u32");
    let error = decode_args::<Point>(&args(r#"{"x":1}"#)).unwrap_err();
    assert_eq!(error.to_string(), "argument 0: missing field `y`");
    for attachments in [vec![], vec![&b"data"[..]]] {
        let error = decode_all(&binary_args(r#""SECRET",{"a":1e999}"#, &attachments)).unwrap_err();
        assert_eq!(error.to_string(), "argument 1: number out of range");
    }
}

/// F-LOG-03: also not when what was received looks like the end of such a message.
#[test]
fn errors_do_not_quote_what_looks_like_an_error() {
    for received in
        ["x, expected SECRET at line 1 column 2", "SECRET at line 1", "a, expected SECRET at line "]
    {
        let error = decode_args::<(u32,)>(&args(&format!("{received:?}"))).unwrap_err();
        assert_eq!(error.to_string(), "argument 0: expected u32");
    }
}
