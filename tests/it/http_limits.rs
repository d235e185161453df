//! Limits, deadlines and overload of the public listener.
