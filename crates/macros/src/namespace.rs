//! `#[namespace]` on an impl block.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Error, ImplItem, ItemImpl, Result};

use crate::method::Handler;

pub(crate) fn expand(args: TokenStream, input: TokenStream) -> Result<TokenStream> {
    if !args.is_empty() {
        return Err(Error::new_spanned(
            args,
            "`#[namespace]` takes no arguments; the namespace is named when the value is registered",
        ));
    }
    let mut block: ItemImpl = syn::parse2(input).map_err(|error| {
        Error::new(error.span(), "`#[namespace]` belongs on an `impl` block with methods that are handlers")
    })?;
    if let Some((_, path, _)) = &block.trait_ {
        return Err(Error::new_spanned(
            path,
            "`#[namespace]` belongs on the `impl` block of a type, not of a trait",
        ));
    }
    let handlers = handlers(&mut block)?;
    let registrations = handlers.iter().map(Handler::registration);
    let (ty, (generics, _, conditions)) = (&block.self_ty, block.generics.split_for_impl());
    Ok(quote! {
        #block

        #[automatically_derived]
        impl #generics ::wirebird::NamespaceHandlers for #ty #conditions {
            fn register_handlers(self: ::std::sync::Arc<Self>, handlers: &mut ::wirebird::HandlerSet) {
                let _ = &handlers;
                #(#registrations)*
            }
        }
    })
}

/// The handlers of the block; all that is wrong with them is told at once.
fn handlers(block: &mut ItemImpl) -> Result<Vec<Handler>> {
    let mut handlers: Vec<Handler> = Vec::new();
    let mut errors: Option<Error> = None;
    let mut fail = |error| match &mut errors {
        Some(errors) => errors.combine(error),
        None => errors = Some(error),
    };
    for item in &mut block.items {
        let ImplItem::Fn(method) = item else { continue };
        match Handler::of(method) {
            Ok(Some(handler)) => {
                let twice = |other: &Handler| {
                    other.purpose == handler.purpose
                        && other.conditions.is_empty()
                        && handler.conditions.is_empty()
                };
                if handlers.iter().any(twice) {
                    let what = handler.purpose.describe();
                    fail(Error::new(handler.span, format!("there is a handler of {what} already")));
                }
                handlers.push(handler);
            }
            Ok(None) => {}
            Err(error) => fail(error),
        }
    }
    errors.map_or(Ok(handlers), Err)
}

#[cfg(test)]
#[path = "namespace_tests.rs"]
mod tests;
