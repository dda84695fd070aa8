//! Every byte format we speak, standards' and our own: parse ↔ encode, no I/O, no keys of ours.

pub mod api;
pub mod cose;
pub mod documents;
pub mod dpop;
pub mod jose;
pub mod network_number;
pub mod phone;
pub mod sd_jwt;
pub mod subject_handle;
pub mod tls_client;
mod typed_text;
pub mod webauthn;
