//! From the source to targets: where each target stands, our own engine, and an
//! external wrarena.

pub mod cursor;
pub mod external;
pub mod replicate;
