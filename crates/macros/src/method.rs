//! What a method handles, and whether it can.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Attribute, Error, FnArg, ImplItemFn, LitStr, Meta, Result, Signature, Token, Type};

/// Events of these names are never dispatched: the protocol keeps them for itself.
const RESERVED: [&str; 6] =
    ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];

/// How many extractors a handler may take.
const MAX_ARGUMENTS: usize = 8;

/// What a handler is for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Connect,
    Disconnecting,
    Disconnect,
    Error,
    Fallback,
    Event(String),
}

impl Purpose {
    /// As it is called in messages.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Connect => "connections".into(),
            Self::Disconnecting => "sockets about to disconnect".into(),
            Self::Disconnect => "disconnections".into(),
            Self::Error => "errors".into(),
            Self::Fallback => "all other events".into(),
            Self::Event(name) => format!("the event {name:?}"),
        }
    }
}

/// A method that is a handler.
pub(crate) struct Handler {
    pub(crate) purpose: Purpose,
    /// Where the name stands that made it one.
    pub(crate) span: Span,
    /// Whether it is there under some conditions only.
    pub(crate) conditions: Vec<Attribute>,
    signature: Signature,
}

impl Handler {
    /// The method as a handler, without the attributes that say so; `None` for one that is none.
    pub(crate) fn of(method: &mut ImplItemFn) -> Result<Option<Self>> {
        let marks = take_marks(&mut method.attrs);
        let Some((purpose, span)) = purpose(&method.sig, &marks)? else { return Ok(None) };
        check(&method.sig, &purpose)?;
        let conditions = method.attrs.iter().filter(|attr| attr.path().is_ident("cfg")).cloned().collect();
        Ok(Some(Self { purpose, span, conditions, signature: method.sig.clone() }))
    }

    /// The statement that registers it with `handlers`, for `self: Arc<Self>`.
    pub(crate) fn registration(&self) -> TokenStream {
        let Self { purpose, conditions, signature, .. } = self;
        let method = &signature.ident;
        let span = method.span();
        let types: Vec<&Type> = arguments(signature).collect();
        let names: Vec<_> = (0..types.len()).map(|n| format_ident!("argument_{n}")).collect();
        let (register, event) = match purpose {
            Purpose::Connect => (quote!(on_connect), None),
            Purpose::Disconnecting => (quote!(on_disconnecting), None),
            Purpose::Disconnect => (quote!(on_disconnect), None),
            Purpose::Error => (quote!(on_error), None),
            Purpose::Fallback => (quote!(fallback), None),
            Purpose::Event(name) => (quote!(on), Some(quote!(#name,))),
        };
        // Each argument by itself: the compiler tells which one is wrong.
        let context = match purpose {
            Purpose::Connect => Some(quote!(::wirebird::extract::ConnectContext)),
            Purpose::Disconnecting | Purpose::Disconnect => {
                Some(quote!(::wirebird::extract::DisconnectContext))
            }
            Purpose::Event(_) | Purpose::Fallback => Some(quote!(::wirebird::extract::EventContext)),
            Purpose::Error => None,
        };
        let checks = context.iter().flat_map(|context| {
            types.iter().map(
                move |ty| quote_spanned!(ty.span()=> ::wirebird::__private::argument::<#context, #ty>();),
            )
        });
        let this = match signature.receiver() {
            Some(receiver) if receiver.colon_token.is_some() && !is_reference(&receiver.ty) => quote!(this),
            _ => quote!(&this),
        };
        let handler = quote_spanned! {span=>
            move |#(#names: #types),*| {
                let this = ::std::sync::Arc::clone(&this);
                async move { Self::#method(#this, #(#names),*).await }
            }
        };
        quote! {
            #(#conditions)*
            {
                #(#checks)*
                let this = ::std::sync::Arc::clone(&self);
                handlers.#register(#event #handler);
            }
        }
    }
}

fn is_reference(ty: &Type) -> bool {
    matches!(ty, Type::Reference(_))
}

/// The types of the arguments, without the receiver.
pub(crate) fn arguments(signature: &Signature) -> impl Iterator<Item = &Type> {
    signature.inputs.iter().filter_map(|input| match input {
        FnArg::Typed(argument) => Some(&*argument.ty),
        FnArg::Receiver(_) => None,
    })
}

/// An attribute of ours: `#[event]`, `#[event("name")]`, `#[fallback]`.
struct Mark {
    attr: Attribute,
    fallback: bool,
}

/// Takes our attributes out; those of others stay.
fn take_marks(attrs: &mut Vec<Attribute>) -> Vec<Mark> {
    let (mut ours, mut others) = (Vec::new(), Vec::new());
    for attr in attrs.drain(..) {
        let name = attr.path().segments.last().map(|segment| segment.ident.to_string());
        let fallback = match name.as_deref() {
            Some("event") => false,
            Some("fallback") => true,
            _ => {
                others.push(attr);
                continue;
            }
        };
        ours.push(Mark { attr, fallback });
    }
    *attrs = others;
    ours
}

fn purpose(signature: &Signature, marks: &[Mark]) -> Result<Option<(Purpose, Span)>> {
    let method = signature.ident.unraw().to_string();
    let [mark] = marks else {
        return match marks {
            [] => by_name(signature, &method),
            [_, second, ..] => Err(Error::new_spanned(&second.attr, "a method handles one thing")),
            [_] => Ok(None),
        };
    };
    if mark.fallback {
        if !matches!(mark.attr.meta, Meta::Path(_)) {
            return Err(Error::new_spanned(&mark.attr, "`#[fallback]` takes no arguments"));
        }
        return Ok(Some((Purpose::Fallback, mark.attr.span())));
    }
    let name = match &mark.attr.meta {
        Meta::Path(_) => None,
        Meta::List(list) => parse_name(list.tokens.clone())?,
        Meta::NameValue(_) => {
            return Err(Error::new_spanned(&mark.attr, "write `#[event(\"name\")]`"));
        }
    };
    match name {
        Some(name) => Ok(Some((event(name.value(), name.span())?, name.span()))),
        None if method.starts_with("on_") => Err(Error::new_spanned(
            &mark.attr,
            "the prefix `on_` makes this a handler already: leave `#[event]` out, or name the event: `#[event(\"name\")]`",
        )),
        None => Ok(Some((event(method, signature.ident.span())?, signature.ident.span()))),
    }
}

/// The name between the parentheses of `#[event("name")]`, if there is one.
pub(crate) fn parse_name(tokens: TokenStream) -> Result<Option<LitStr>> {
    if tokens.is_empty() {
        return Ok(None);
    }
    let span = tokens.span();
    let names = syn::parse::Parser::parse2(Punctuated::<LitStr, Token![,]>::parse_terminated, tokens);
    match names.map(|names| names.into_iter().collect::<Vec<_>>()) {
        Ok(names) if names.len() == 1 => Ok(names.into_iter().next()),
        _ => Err(Error::new(span, "one name of an event is expected: `#[event(\"name\")]`")),
    }
}

pub(crate) fn event(name: String, span: Span) -> Result<Purpose> {
    if RESERVED.contains(&name.as_str()) {
        return Err(Error::new(
            span,
            format!(
                "{name:?} is a reserved name: no client can send such an event (see `on_connect` and `on_disconnect`)"
            ),
        ));
    }
    Ok(Purpose::Event(name))
}

fn by_name(signature: &Signature, method: &str) -> Result<Option<(Purpose, Span)>> {
    let span = signature.ident.span();
    let Some(name) = method.strip_prefix("on_") else { return Ok(None) };
    let purpose = match name {
        "connect" => Purpose::Connect,
        "disconnecting" => Purpose::Disconnecting,
        "disconnect" => Purpose::Disconnect,
        "error" => Purpose::Error,
        "" => {
            return Err(Error::new(
                span,
                "the name of the event is missing: `on_<event>`, or `#[event(\"name\")]`",
            ));
        }
        "connection" => {
            return Err(Error::new(
                span,
                "connections are handled by `on_connect`; for an event of that name write `#[event(\"connection\")]`",
            ));
        }
        name => event(name.to_owned(), span)?,
    };
    Ok(Some((purpose, span)))
}

/// Whether a method can be a handler. What its arguments and its result may be, the compiler says.
fn check(signature: &Signature, purpose: &Purpose) -> Result<()> {
    let what = purpose.describe();
    let Some(receiver) = signature.receiver() else {
        return Err(Error::new_spanned(
            &signature.ident,
            format!(
                "a handler of {what} takes `&self` (what is no handler has another name, or stands in another `impl` block)"
            ),
        ));
    };
    let by_value = receiver.colon_token.is_none() && receiver.reference.is_none();
    let exclusive = matches!(&*receiver.ty, Type::Reference(reference) if reference.mutability.is_some());
    if by_value || exclusive {
        return Err(Error::new_spanned(
            receiver,
            "one value serves all clients at once: a handler takes `&self` or `self: Arc<Self>`; keep what changes behind a lock",
        ));
    }
    check_function(signature, &what)?;
    if *purpose == Purpose::Error && arguments(signature).count() > 2 {
        return Err(Error::new_spanned(
            &signature.inputs,
            "an error handler takes the `Error`, and the `EventContext` if it likes",
        ));
    }
    Ok(())
}

/// What must be true of methods and functions.
pub(crate) fn check_function(signature: &Signature, what: &str) -> Result<()> {
    if signature.asyncness.is_none() {
        return Err(Error::new_spanned(
            signature.fn_token,
            format!(
                "a handler of {what} is `async` (what is no handler has another name, or stands in another `impl` block)"
            ),
        ));
    }
    if let Some(parameter) = signature.generics.params.first() {
        return Err(Error::new_spanned(
            parameter,
            "a handler has no parameters of its own: nobody names them",
        ));
    }
    if let Some(unsafety) = &signature.unsafety {
        return Err(Error::new_spanned(unsafety, "a handler is not `unsafe`: anybody may send the event"));
    }
    let types: Vec<_> = arguments(signature).collect();
    if let Some(ty) = types.iter().find(|ty| matches!(ty, Type::ImplTrait(_))) {
        return Err(Error::new_spanned(ty, "the arguments of a handler have types that can be named"));
    }
    if let Some(ty) = types.get(MAX_ARGUMENTS) {
        return Err(Error::new_spanned(
            ty,
            format!("a handler takes {MAX_ARGUMENTS} arguments at most; `EventContext` has all at once"),
        ));
    }
    Ok(())
}
