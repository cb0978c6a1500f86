//! The JSON scanner, compared with `serde_json`.

mod packets_support;

use packets_support::{depth, json};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::value::RawValue;
use wirebird_proto::socket_io::{DecodeError, Decoder, Limits, PacketKind, RawArgs};

/// Compares what is made of `elements`, the inside of an array, with what `serde_json` says.
fn compare(elements: &str) -> Result<(), TestCaseError> {
    let array = format!("[{elements}]");
    let expected = serde_json::from_str::<Vec<Box<RawValue>>>(&array);
    match RawArgs::from_json_elements(elements.into(), Vec::new()) {
        Err(DecodeError::TooDeep) => prop_assert!(expected.is_err() || depth(&array) > 127),
        Err(_) => prop_assert!(expected.is_err(), "{elements:?} was refused"),
        Ok(args) => {
            let Ok(expected) = &expected else { panic!("{elements:?} was accepted") };
            prop_assert!(args.iter().eq(expected.iter().map(|raw| raw.get())));
        }
    }
    // The same text after a name, at the default depth.
    let comma = if elements.trim_matches([' ', '\t', '\n', '\r']).is_empty() { "" } else { "," };
    match Decoder::new(Limits::default()).decode_text(format!("2[\"e\"{comma}{elements}]").into()) {
        Err(DecodeError::TooDeep) => prop_assert!(expected.is_err() || depth(&array) > 64),
        Err(_) => prop_assert!(expected.is_err()),
        Ok(packet) => {
            let PacketKind::Event { name, args, .. } = packet.unwrap().kind else { panic!("an event") };
            prop_assert_eq!(name, "e");
            prop_assert!(args.iter().eq(expected.unwrap().iter().map(|raw| raw.get())));
        }
    }
    Ok(())
}

#[derive(Clone, Debug)]
enum Mutation {
    Insert(Index, char),
    Replace(Index, char),
    Remove(Index),
    Repeat(Index, Index),
    Cut(Index),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let character = || {
        prop_oneof![
            4 => prop::sample::select(r#"[]{}",:\/ tfnu0123456789.eE+-abrd"#.chars().collect::<Vec<_>>()),
            1 => any::<char>(),
            1 => prop::char::range('\0', ' '),
        ]
    };
    prop_oneof![
        (any::<Index>(), character()).prop_map(|(at, character)| Mutation::Insert(at, character)),
        (any::<Index>(), character()).prop_map(|(at, character)| Mutation::Replace(at, character)),
        any::<Index>().prop_map(Mutation::Remove),
        (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Mutation::Repeat(from, to)),
        any::<Index>().prop_map(Mutation::Cut),
    ]
}

fn mutate(text: &str, mutations: &[Mutation]) -> String {
    let mut text: Vec<char> = text.chars().collect();
    for mutation in mutations {
        let len = text.len();
        match mutation {
            Mutation::Insert(at, character) => text.insert(at.index(len + 1), *character),
            _ if len == 0 => {}
            Mutation::Replace(at, character) => text[at.index(len)] = *character,
            Mutation::Remove(at) => {
                text.remove(at.index(len));
            }
            Mutation::Repeat(from, to) => {
                let (from, to) = (from.index(len), to.index(len));
                let part = text[from.min(to)..from.max(to)].to_vec();
                text.extend(part);
            }
            Mutation::Cut(at) => text.truncate(at.index(len)),
        }
    }
    text.into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// F-SER-01: JSON is found where it begins and ends, however it is written.
    #[test]
    fn what_serde_json_writes_is_accepted(values in prop::collection::vec(json(), 0..8), pretty in any::<bool>()) {
        let write = if pretty { serde_json::to_string_pretty } else { serde_json::to_string };
        let texts: Vec<String> = values.iter().map(|value| write(value).unwrap()).collect();
        let elements = texts.join(",");
        let args = RawArgs::from_json_elements(elements.clone().into(), Vec::new()).unwrap();
        prop_assert_eq!(args.len(), values.len());
        prop_assert_eq!(args.json(), &elements);
        prop_assert!(args.iter().eq(texts.iter().map(String::as_str)));
        compare(&elements)?;
    }

    #[test]
    fn mutations_are_judged_as_by_serde_json(
        values in prop::collection::vec(json(), 0..3),
        mutations in prop::collection::vec(mutation(), 1..6),
    ) {
        let elements = values.iter().map(serde_json::Value::to_string).collect::<Vec<_>>().join(",");
        compare(&mutate(&elements, &mutations))?;
    }

    #[test]
    fn any_text_is_judged_as_by_serde_json(text in r#"[\[\]{}",:\\ 01.eE+\-tu]{0,12}|([\[{]"?:?){0,3}(true|null|-?0[.]5|"(\\u[dD][89aAcC]00)*"),?[\]}]*"#) {
        compare(&text)?;
    }

    #[test]
    fn any_message_is_decoded_or_refused(text in any::<String>(), digit in "[0-6]?[0-9/,?-]{0,4}", tail in r#"(\["a",?)?"#) {
        let mut decoder = Decoder::new(Limits::default());
        let _ = decoder.decode_text(text.as_str().into());
        let _ = Decoder::new(Limits::default()).decode_text(format!("{digit}{tail}{text}").into());
    }
}

#[test]
fn depth_is_judged_as_by_serde_json() {
    for depth in [1, 2, 62, 63, 64, 65, 126, 127, 128, 129, 500] {
        for (open, close) in [("[", "]"), (r#"{"[":"#, "}")] {
            compare(&format!("{}1{}", open.repeat(depth), close.repeat(depth))).unwrap();
        }
    }
}
