//! What a request says in its query.

use wirebird_proto::engine_io::jsonp;

use crate::engine::Engine;
use crate::refusal::Cause;
use crate::transport::TransportKind;

/// The parameters of the protocol, the first of each name; anything else belongs to the application.
#[derive(Default)]
pub(super) struct Query {
    pub(super) transport: Option<String>,
    pub(super) sid: Option<String>,
    pub(super) version: Option<String>,
    pub(super) callback: Option<String>,
}

impl Query {
    pub(super) fn parse(raw: &str) -> Self {
        let mut query = Self::default();
        for (name, value) in form_urlencoded::parse(raw.as_bytes()) {
            let slot = match &*name {
                "transport" => &mut query.transport,
                "sid" => &mut query.sid,
                "EIO" => &mut query.version,
                "j" => &mut query.callback,
                _ => continue,
            };
            slot.get_or_insert_with(|| value.into_owned());
        }
        query
    }

    pub(super) fn transport(&self, engine: &Engine) -> Option<TransportKind> {
        let enabled = engine.config().transports;
        match self.transport.as_deref() {
            Some("polling") if enabled.polling => Some(TransportKind::Polling),
            Some("websocket") if enabled.websocket => Some(TransportKind::WebSocket),
            _ => None,
        }
    }

    /// What a client that polls by script tags waits to be called.
    pub(super) fn callback(&self, engine: &Engine) -> Result<Option<jsonp::Callback>, Cause> {
        let Some(callback) = &self.callback else { return Ok(None) };
        if !engine.config().jsonp {
            return Err(Cause::NoJsonp);
        }
        jsonp::Callback::parse(callback).map(Some).ok_or_else(|| Cause::Callback(callback.clone()))
    }
}
