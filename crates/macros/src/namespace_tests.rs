use quote::quote;
use syn::spanned::Spanned;

use super::*;

/// What is wrong with the method, and with which part of it.
fn complaint(method: &str) -> (String, String) {
    let source = format!("impl Chat {{ {method} }}");
    let error = expand(TokenStream::new(), source.parse().unwrap()).expect_err(method);
    (error.to_string(), error.span().source_text().unwrap_or_default())
}

/// F-NSP-02, F-NSP-03: what cannot be a handler is told where it stands.
#[test]
fn what_cannot_be_a_handler_is_told() {
    for (method, message, place) in [
        ("fn on_say(&self) {}", "a handler of the event \"say\" is `async`", "fn"),
        ("fn on_connect(&self) {}", "a handler of connections is `async`", "fn"),
        ("#[fallback] fn rest(&self) {}", "a handler of all other events is `async`", "fn"),
        ("async fn on_say() {}", "takes `&self`", "on_say"),
        ("async fn on_say(text: Data<String>) {}", "takes `&self`", "on_say"),
        ("async fn on_say(&mut self) {}", "serves all clients at once", "&mut self"),
        ("async fn on_say(self) {}", "serves all clients at once", "self"),
        ("async fn on_say<T>(&self, data: Data<T>) {}", "no parameters of its own", "T"),
        ("async fn on_say(&self, data: impl Sized) {}", "types that can be named", "impl Sized"),
        ("async unsafe fn on_say(&self) {}", "not `unsafe`", "unsafe"),
        (
            "async fn on_say(&self, a: A, b: A, c: A, d: A, e: A, f: A, g: A, h: A, i: I) {}",
            "8 arguments at most",
            "I",
        ),
        ("async fn on_error(&self, a: Error, b: EventContext, c: Socket) {}", "takes the `Error`", ""),
        ("async fn on_(&self) {}", "the name of the event is missing", "on_"),
        ("async fn on_connection(&self) {}", "handled by `on_connect`", "on_connection"),
        ("async fn on_connect_error(&self) {}", "\"connect_error\" is a reserved name", "on_connect_error"),
        ("async fn on_newListener(&self) {}", "\"newListener\" is a reserved name", "on_newListener"),
        ("#[event] async fn disconnect(&self) {}", "reserved name", "disconnect"),
        ("#[event(\"removeListener\")] async fn x(&self) {}", "reserved name", "\"removeListener\""),
        ("#[event] async fn on_say(&self) {}", "leave `#[event]` out", "#[event]"),
        ("#[event = \"x\"] async fn say(&self) {}", "write `#[event(\"name\")]`", "#[event = \"x\"]"),
        ("#[event(say)] async fn say(&self) {}", "one name of an event is expected", "say"),
        ("#[event(\"a\", \"b\")] async fn say(&self) {}", "one name of an event is expected", ""),
        ("#[event(\"a\")] #[event(\"b\")] async fn say(&self) {}", "handles one thing", "#[event(\"b\")]"),
        ("#[event] #[fallback] async fn say(&self) {}", "handles one thing", "#[fallback]"),
        ("#[fallback(1)] async fn say(&self) {}", "takes no arguments", "#[fallback(1)]"),
    ] {
        let (told, at) = complaint(method);
        assert!(told.contains(message), "{method}: {told}");
        assert!(place.is_empty() || at == place || place.starts_with(&at), "{method}: at {at:?}");
    }
}

/// F-NSP-03: one event has one method.
#[test]
fn two_methods_for_the_same_are_told() {
    for (methods, message, place) in [
        (
            "async fn on_say(&self) {} #[event(\"say\")] async fn shout(&self) {}",
            "there is a handler of the event \"say\" already",
            "\"say\"",
        ),
        (
            "#[fallback] async fn a(&self) {} #[fallback] async fn b(&self) {}",
            "there is a handler of all other events already",
            "",
        ),
    ] {
        let (told, at) = complaint(methods);
        assert_eq!(told, message);
        assert!(place.is_empty() || at == place, "{at}");
    }
    // Of two under conditions only one may be there.
    let either = quote! {
        impl Chat {
            #[cfg(unix)] async fn on_say(&self) {}
            #[cfg(not(unix))] async fn on_say(&self) {}
        }
    };
    assert!(expand(TokenStream::new(), either).is_ok());
}

/// All that is wrong is told at once, as the compiler does.
#[test]
fn all_mistakes_are_told_at_once() {
    let block = quote!(impl Chat { fn on_a(&self) {} async fn on_b() {} });
    let errors = expand(TokenStream::new(), block).unwrap_err();
    assert_eq!(errors.into_iter().count(), 2);
}

/// F-NSP-07: it belongs on an impl block of a type.
#[test]
fn it_belongs_on_an_impl_block() {
    for (args, item, message) in [
        (
            quote!(),
            quote!(
                struct Chat;
            ),
            "belongs on an `impl` block",
        ),
        (
            quote!(),
            quote!(
                fn chat() {}
            ),
            "belongs on an `impl` block",
        ),
        (quote!(), quote!(impl Clone for Chat {}), "not of a trait"),
        (quote!("/chat"), quote!(impl Chat {}), "takes no arguments"),
    ] {
        let error = expand(args, item).unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
    }
}

/// F-NSP-03: methods that are no handlers are left alone, with all attributes but ours.
#[test]
fn other_methods_are_left_alone() {
    let block = quote! {
        impl Chat {
            const X: u8 = 1;
            /// Documented.
            #[inline]
            fn helper<T>(&mut self, _: impl Sized) -> T { todo!() }
            #[event("x")]
            #[must_use]
            async fn y(&self) {}
        }
    };
    let expanded: syn::File = syn::parse2(expand(TokenStream::new(), block).unwrap()).unwrap();
    let [syn::Item::Impl(own), syn::Item::Impl(ours)] = &expanded.items[..] else {
        panic!("two impl blocks")
    };
    let text = quote!(#own).to_string();
    assert!(text.contains("inline") && text.contains("must_use") && text.contains("Documented"));
    assert!(!text.contains("event"), "{text}");
    assert!(quote!(#ours).to_string().matches("handlers .").count() == 1);
    assert!(own.span().start().line <= own.span().end().line);
}

/// F-EVT-02
#[test]
fn the_attribute_of_functions_tells_what_is_wrong() {
    for (args, item, message) in [
        (
            quote!(),
            quote!(
                fn say() {}
            ),
            "is `async`",
        ),
        (
            quote!(),
            quote!(
                async fn say(&self) {}
            ),
            "needs `#[wirebird::namespace]`",
        ),
        (
            quote!(),
            quote!(
                async fn connect() {}
            ),
            "reserved name",
        ),
        (
            quote!("disconnect"),
            quote!(
                async fn say() {}
            ),
            "reserved name",
        ),
        (
            quote!(say),
            quote!(
                async fn say() {}
            ),
            "one name of an event",
        ),
        (
            quote!(),
            quote!(
                async fn say<T>(data: T) {}
            ),
            "no parameters of its own",
        ),
        (
            quote!(),
            quote!(
                struct Say;
            ),
            "belongs on an async function",
        ),
    ] {
        let error = crate::event::expand(args, item).unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
    }
}
