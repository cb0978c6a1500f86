//! Compression of polling replies.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};

use crate::config::Config;
use crate::polling::PollBody;

/// How a reply may be compressed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Encoding {
    format: Option<Format>,
    enabled: bool,
    threshold: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Gzip,
    Deflate,
}

impl Encoding {
    /// What the client prefers of gzip and deflate by its `Accept-Encoding` headers; gzip when both are equal.
    pub(crate) fn negotiate<'a>(config: &Config, accepted: impl IntoIterator<Item = &'a str>) -> Self {
        let enabled = config.http_compression;
        let format = if enabled { preferred(accepted) } else { None };
        Self { format, enabled, threshold: config.compression_threshold }
    }

    /// Whether the reply depends on the request's `Accept-Encoding`.
    pub(crate) fn varies(self) -> bool {
        self.enabled
    }

    /// Whether it is tried to make the body smaller.
    pub(crate) fn compresses(self, body: &PollBody) -> bool {
        self.format.is_some() && self.is_enough(body.bytes()) && body.is_compressible()
    }

    /// Whether the body is to be sent as gzip.
    pub(super) fn gzips(self, body: &Bytes) -> bool {
        self.format == Some(Format::Gzip) && self.is_enough(body)
    }

    fn is_enough(self, body: &Bytes) -> bool {
        body.len() >= self.threshold
    }

    /// The body to send and its `Content-Encoding`, if any.
    pub(crate) fn apply(self, body: PollBody) -> (Bytes, Option<&'static str>) {
        let format = self.format.filter(|_| self.compresses(&body));
        let body = body.into_bytes();
        let Some(format) = format else { return (body, None) };
        let compressed = match format {
            Format::Gzip => write(GzEncoder::new(Vec::new(), Compression::fast()), &body, GzEncoder::finish),
            Format::Deflate => {
                write(ZlibEncoder::new(Vec::new(), Compression::fast()), &body, ZlibEncoder::finish)
            }
        };
        match compressed {
            Ok(smaller) if smaller.len() < body.len() => {
                let name = if format == Format::Gzip { "gzip" } else { "deflate" };
                (smaller.into(), Some(name))
            }
            _ => (body, None),
        }
    }
}

fn write<W: Write>(
    mut encoder: W,
    body: &[u8],
    finish: impl FnOnce(W) -> std::io::Result<Vec<u8>>,
) -> std::io::Result<Vec<u8>> {
    encoder.write_all(body)?;
    finish(encoder)
}

fn preferred<'a>(accepted: impl IntoIterator<Item = &'a str>) -> Option<Format> {
    let mut gzip = None;
    let mut deflate = None;
    let mut any = None;
    for value in accepted {
        for part in value.split(',') {
            let mut fields = part.split(';').map(str::trim);
            let name = fields.next().unwrap_or_default();
            let slot = if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") {
                &mut gzip
            } else if name.eq_ignore_ascii_case("deflate") {
                &mut deflate
            } else if name == "*" {
                &mut any
            } else {
                continue;
            };
            let weight = fields.find_map(|f| f.strip_prefix("q=").or_else(|| f.strip_prefix("Q=")));
            // What is no weight is none: better plain than unreadable.
            let valid = |q: &str| q.parse().ok().filter(|q| (0.0..=1.0).contains(q)).unwrap_or(0.0);
            *slot = Some(weight.map_or(1.0, valid));
        }
    }
    let weight = |explicit: Option<f32>| explicit.or(any).unwrap_or(0.0);
    let (gzip, deflate) = (weight(gzip), weight(deflate));
    if gzip <= 0.0 && deflate <= 0.0 {
        None
    } else if gzip >= deflate {
        Some(Format::Gzip)
    } else {
        Some(Format::Deflate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefers(value: &str) -> Option<Format> {
        preferred([value])
    }

    #[test]
    fn weights_count_and_zero_forbids() {
        assert_eq!(prefers("gzip, deflate, br"), Some(Format::Gzip));
        assert_eq!(prefers("gzip;q=0.5, deflate;q=0.8"), Some(Format::Deflate));
        assert_eq!(prefers("gzip;q=0"), None);
        assert_eq!(prefers("br"), None);
        assert_eq!(prefers("*"), Some(Format::Gzip));
        assert_eq!(prefers("*, gzip;q=0"), Some(Format::Deflate));
    }

    #[test]
    fn only_bodies_over_the_threshold_are_compressed() {
        let encoding = Encoding::negotiate(&Config::default(), ["gzip"]);
        assert_eq!(encoding.apply(Bytes::from(vec![b'a'; 1023]).into()).1, None);
        let (body, name) = encoding.apply(Bytes::from(vec![b'a'; 1024]).into());
        assert_eq!(name, Some("gzip"));
        assert!(body.len() < 100);
    }
}
