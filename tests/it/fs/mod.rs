//! Views of points in time, on the formats alone.

mod damage;
mod far;
mod model;
mod opening;
mod points;
mod prefetch;
mod timeline;
mod waiting;
