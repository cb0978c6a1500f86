//! The attribute macros of [`wirebird`](https://docs.rs/wirebird), which re-exports and documents them.

mod event;
mod method;
mod namespace;

use proc_macro::TokenStream;

/// Turns an impl block into the handlers of a namespace: it implements `NamespaceHandlers` for the type.
#[proc_macro_attribute]
pub fn namespace(args: TokenStream, input: TokenStream) -> TokenStream {
    finish(namespace::expand(args.into(), input.into()))
}

/// Names a function as the handler of an event: it implements `NamedHandler`.
#[proc_macro_attribute]
pub fn event(args: TokenStream, input: TokenStream) -> TokenStream {
    finish(event::expand(args.into(), input.into()))
}

fn finish(expanded: syn::Result<proc_macro2::TokenStream>) -> TokenStream {
    expanded.unwrap_or_else(|error| error.into_compile_error()).into()
}
