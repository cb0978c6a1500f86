//! The forms in which the origins of an option may be written.

use wirebird_engine::Origins;

/// Which origins may connect, for [`Builder::cors_allowed_origins`](crate::Builder::cors_allowed_origins).
///
/// That is one origin, a `&str` or a `String`; or a list of them: an array, a slice, a `Vec`, a set, anything that iterates over
/// what becomes a `String`; or [`Origins`]. `Kind` tells the compiler these forms apart, and is never written.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is neither an origin nor a list of origins",
    label = "neither an origin nor a list of origins",
    note = "give one, \"https://example.com\", or a list, [\"https://example.com\", \"http://localhost:3000\"], or `Origins::Disabled`",
    note = "a function decides with `allow_origin`"
)]
pub trait AllowedOrigins<Kind> {
    /// The origins.
    fn into_origins(self) -> Origins;
}

/// Marks what is taken as it is.
#[derive(Debug)]
pub enum Named {}

/// Marks what is iterated over.
#[derive(Debug)]
pub enum Listed {}

/// A type that is an origin, or a list that does not iterate over what becomes a `String`.
///
/// These could implement [`AllowedOrigins`] themselves. But with a single impl for all types beside theirs, the compiler would say
/// of anything else that it is no iterator, instead of what the trait says.
pub trait NamedOrigins {
    fn origins(self) -> Origins;
}

impl<T: NamedOrigins> AllowedOrigins<Named> for T {
    fn into_origins(self) -> Origins {
        self.origins()
    }
}

impl<I: IntoIterator<Item: Into<String>>> AllowedOrigins<Listed> for I {
    fn into_origins(self) -> Origins {
        let origins = of_list(self.into_iter().map(Into::into).collect());
        if matches!(origins, Origins::Disabled) {
            tracing::warn!(
                target: "wirebird::engineio",
                "the list of allowed origins is empty, so that origins are not checked; `Origins::Disabled` says that on purpose"
            );
        }
        origins
    }
}

fn of_list(list: Vec<String>) -> Origins {
    if list.is_empty() {
        Origins::Disabled
    } else if list == ["*"] {
        Origins::Any
    } else {
        Origins::List(list)
    }
}

impl NamedOrigins for Origins {
    fn origins(self) -> Origins {
        self
    }
}

macro_rules! one_origin {
    ($($type:ty),*) => {$(
        impl NamedOrigins for $type {
            fn origins(self) -> Origins {
                of_list(vec![self.into()])
            }
        }
    )*};
}

one_origin!(&str, String, &String);

impl NamedOrigins for &[&str] {
    fn origins(self) -> Origins {
        self.iter().copied().into_origins()
    }
}

impl<const N: usize> NamedOrigins for &[&str; N] {
    fn origins(self) -> Origins {
        self.as_slice().origins()
    }
}

impl NamedOrigins for &Vec<&str> {
    fn origins(self) -> Origins {
        self.as_slice().origins()
    }
}
