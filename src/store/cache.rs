//! What stands between the token path and a backend.
