//! The house keeps its own rules: layers, dependencies, documents.
