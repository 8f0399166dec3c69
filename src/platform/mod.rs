//! What differs between operating systems, behind the same functions everywhere.

pub mod durable;
