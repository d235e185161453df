//! Signing keys, the JWKS document and the metadata.
