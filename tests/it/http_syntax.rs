//! The syntax of HTTP: what is refused before anybody asks who is there.
