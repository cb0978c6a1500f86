//! Patterns of namespaces and the names that clients ask for: a name that is let in is the pattern with its parameters
//! put in, and nothing is left of it when its client has gone.
#![no_main]

use std::sync::{Arc, Mutex};

use libfuzzer_sys::fuzz_target;
use wirebird::engine::Frame;
use wirebird::extract::{Path, State};
use wirebird::{Handshake, Namespace, Server};

type Found = Arc<Mutex<Option<(String, Vec<String>)>>>;

fuzz_target!(|input: (&str, &str)| {
    let (pattern, name) = input;
    let Some(parts) = parts(pattern) else { return };
    let found = Found::default();
    let io = Server::builder().state(found.clone()).build();
    io.of_pattern(pattern).on_connect(
        async |Path(params): Path<Vec<String>>, namespace: Namespace, State(found): State<Found>| {
            *found.lock().unwrap() = Some((namespace.name().to_owned(), params));
        },
    );
    let namespaces = io.namespaces().len();
    let client = io.connect_memory(Handshake::default(), || {}).expect("an open server");
    // With the pattern itself as a name every pattern is met.
    for name in [name, pattern] {
        client.feed(Frame::Text(format!("40/{},", name.trim_start_matches('/')).into()));
        let Some((name, params)) = found.lock().unwrap().take() else { continue };
        let mut params = params.iter();
        let again: String = parts
            .iter()
            .map(|part| match part {
                Part::Literal(c) => c.to_string(),
                Part::Param { open } => {
                    let param = params.next().expect("a value for each parameter");
                    assert!(!param.is_empty() && (*open || !param.contains('/')));
                    param.clone()
                }
            })
            .collect();
        assert_eq!((again, params.next()), (name, None));
    }
    drop(client);
    assert_eq!((io.socket_count(), io.namespaces().len()), (0, namespaces));
});

enum Part {
    Literal(char),
    Param { open: bool },
}

/// What a pattern consists of; `None` for one that the server would not take.
fn parts(pattern: &str) -> Option<Vec<Part>> {
    let pattern = if pattern.starts_with('/') { pattern.to_owned() } else { format!("/{pattern}") };
    let mut parts = Vec::new();
    let mut names = Vec::new();
    let mut chars = pattern.chars().peekable();
    let fits = pattern.len() <= 256 && !pattern.contains([',', '?']) && !pattern.contains(char::is_control);
    while let Some(c) = chars.next().filter(|_| fits) {
        let after_open = matches!(parts.last(), Some(Part::Param { open: true }));
        let after_param = matches!(parts.last(), Some(Part::Param { .. }));
        match c {
            '{' | '}' if chars.next_if_eq(&c).is_some() => parts.push(Part::Literal(c)),
            '{' => {
                let mut name = String::new();
                while let Some(c) = chars.next_if(|c| *c != '}') {
                    name.push(c);
                }
                chars.next()?;
                let (name, open) = name.strip_prefix('*').map_or((&*name, false), |name| (name, true));
                let is_name = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
                if after_param || !is_name || names.iter().any(|other| other == name) {
                    return None;
                }
                names.push(name.to_owned());
                parts.push(Part::Param { open });
                continue;
            }
            '}' => return None,
            c => parts.push(Part::Literal(c)),
        }
        if after_open {
            return None;
        }
    }
    (!names.is_empty()).then_some(parts)
}
