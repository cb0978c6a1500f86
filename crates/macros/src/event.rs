//! `#[event]` on a function.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Error, ItemFn, Result};

use crate::method::{Purpose, arguments, check_function, event, parse_name};

pub(crate) fn expand(args: TokenStream, input: TokenStream) -> Result<TokenStream> {
    let given = parse_name(args)?;
    let mut function: ItemFn = syn::parse2(input)
        .map_err(|error| Error::new(error.span(), "`#[event]` belongs on an async function"))?;
    let name = function.sig.ident.clone();
    let event = match given {
        Some(name) => event(name.value(), name.span())?,
        None => event(name.unraw().to_string(), name.span())?,
    };
    if let Some(receiver) = function.sig.receiver() {
        return Err(Error::new_spanned(
            receiver,
            "`#[event]` on a method needs `#[wirebird::namespace]` on the `impl` block",
        ));
    }
    check_function(&function.sig, &event.describe())?;
    let Purpose::Event(event) = event else { return Err(Error::new_spanned(name, "an event has a name")) };
    let visibility = std::mem::replace(&mut function.vis, syn::Visibility::Inherited);
    let (ours, attrs) = std::mem::take(&mut function.attrs).into_iter().partition::<Vec<_>, _>(|attr| {
        attr.path().is_ident("doc") || attr.path().is_ident("cfg") || attr.path().is_ident("deprecated")
    });
    function.attrs = attrs;
    let conditions = ours.iter().filter(|attr| attr.path().is_ident("cfg"));
    let conditions_again = conditions.clone();
    let types = arguments(&function.sig);
    let checks = types.map(|ty| {
        quote_spanned! {ty.span()=>
            ::wirebird::__private::argument::<::wirebird::extract::EventContext, #ty>();
        }
    });
    let call = quote_spanned!(name.span()=> ::wirebird::__private::call(&#name, context));
    Ok(quote! {
        #(#ours)*
        #[allow(non_camel_case_types)]
        #[derive(Debug, Clone, Copy)]
        #visibility struct #name;

        #(#conditions)*
        #[automatically_derived]
        impl ::wirebird::EventHandler<::wirebird::__private::Named> for #name {
            fn call(
                &self,
                context: ::wirebird::extract::EventContext,
            ) -> ::wirebird::__private::EventFuture {
                #function
                #(#checks)*
                #call
            }
        }

        #(#conditions_again)*
        #[automatically_derived]
        impl ::wirebird::NamedHandler for #name {
            const EVENT: &'static str = #event;
        }
    })
}
