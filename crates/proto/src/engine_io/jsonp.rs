//! Polling by script tags (JSONP), for pages of browsers without cross-origin requests: replies are calls of a
//! function, and bodies of POSTs are forms.

use bytes::Bytes;
use bytestring::ByteString;

/// Digits that the number of a callback may have.
const MAX_DIGITS: usize = 9;

/// The number of the function that a client waits to be called: its query parameter `j`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Callback(u32);

impl Callback {
    /// The callback that `text` names; `None` unless that is 1 to 9 digits.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = (1..=MAX_DIGITS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| digits).map(Self)
    }

    /// A script that calls the function with a polling body.
    ///
    /// It is JavaScript of any version, and nothing in it can be taken for HTML. What is not UTF-8 in the body becomes
    /// U+FFFD; bodies of text have nothing of that kind.
    pub fn script(self, body: &[u8]) -> Bytes {
        let mut script = String::with_capacity(body.len() + body.len() / 8 + 24);
        script.push_str(&format!("___eio[{}](\"", self.0));
        for chunk in body.utf8_chunks() {
            write_escaped(&mut script, chunk.valid());
            if !chunk.invalid().is_empty() {
                script.push(char::REPLACEMENT_CHARACTER);
            }
        }
        script.push_str("\");");
        script.into()
    }
}

fn write_escaped(script: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '"' => script.push_str("\\\""),
            '\\' => script.push_str("\\\\"),
            // A line break would end the string, and `</script` the script where it is taken for HTML.
            '\0'..='\x1f' | '<' | '>' | '&' | '\x7f' | '\u{2028}' | '\u{2029}' => {
                script.push_str(&format!("\\u{:04x}", u32::from(character)));
            }
            other => script.push(other),
        }
    }
}

/// The polling body in a form: the first field called `d`, in which `\n` stands for a line feed and `\\n` for `\n`.
///
/// Clients write line feeds so because browsers change them when a form is sent. `None` when there is no such field.
pub fn decode_form(form: &[u8]) -> Option<ByteString> {
    let (_, value) = form_urlencoded::parse(form).find(|(name, _)| name == "d")?;
    if memchr::memmem::find(value.as_bytes(), b"\\n").is_none() {
        return Some(value.into_owned().into());
    }
    let mut body = String::with_capacity(value.len());
    let mut rest = &*value;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        body.push_str(&rest[..at]);
        rest = &rest[at..];
        let (stands_for, len) = if rest.starts_with("\\\\n") {
            ("\\n", 3)
        } else if rest.starts_with("\\n") {
            ("\n", 2)
        } else {
            ("\\", 1)
        };
        body.push_str(stands_for);
        rest = &rest[len..];
    }
    body.push_str(rest);
    Some(body.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(body: &str) -> String {
        String::from_utf8(Callback(7).script(body.as_bytes()).to_vec()).unwrap()
    }

    #[test]
    fn callbacks_are_numbers() {
        assert_eq!(Callback::parse("0"), Some(Callback(0)));
        assert_eq!(Callback::parse("0042"), Some(Callback(42)));
        assert_eq!(Callback::parse("999999999"), Some(Callback(999_999_999)));
        for text in ["", "1234567890", "-1", "+1", "1a", " 1", "1](alert(1));//", "0x1", "１"] {
            assert_eq!(Callback::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn scripts_cannot_be_broken_out_of() {
        assert_eq!(script("4hello"), r#"___eio[7]("4hello");"#);
        assert_eq!(script("\"\\€😀'"), "___eio[7](\"\\\"\\\\€😀'\");");
        assert_eq!(script("a\u{1e}b\r\n\0\u{7f}"), r#"___eio[7]("a\u001eb\u000d\u000a\u0000\u007f");"#);
        assert_eq!(script("\u{2028}\u{2029}"), r#"___eio[7]("\u2028\u2029");"#);
        assert_eq!(script("</script><!--&"), r#"___eio[7]("\u003c/script\u003e\u003c!--\u0026");"#);
        assert_eq!(Callback(7).script(b"4\xff\xfe"), "___eio[7](\"4\u{fffd}\u{fffd}\");");
    }

    #[test]
    fn forms() {
        let decode = |form: &str| decode_form(form.as_bytes()).map(|body| body.to_string());
        assert_eq!(decode("d=4hello+%2B+%E2%82%AC").as_deref(), Some("4hello + €"));
        assert_eq!(decode("x=1&d=1%3A2&d=second").as_deref(), Some("1:2"));
        assert_eq!(decode("d=").as_deref(), Some(""));
        assert_eq!(decode("d").as_deref(), Some(""));
        assert_eq!(decode(""), None);
        assert_eq!(decode("data=4hello"), None);
    }

    #[test]
    fn line_feeds_in_forms() {
        let decode = |text: &str| {
            let form: String =
                form_urlencoded::Serializer::new(String::new()).append_pair("d", text).finish();
            decode_form(form.as_bytes()).unwrap().to_string()
        };
        assert_eq!(decode(r"a\nb"), "a\nb");
        assert_eq!(decode(r"a\\nb"), r"a\nb");
        assert_eq!(decode(r"a\\\nb"), r"a\\nb");
        assert_eq!(decode(r"\n\\n\"), "\n\\n\\");
        assert_eq!(decode(r"\\ \t €\n"), "\\\\ \\t €\n");
    }
}
