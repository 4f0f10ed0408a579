//! A world of roads.

pub mod actor;
pub mod baseline;
pub mod camera;
pub mod dataset;
pub mod draw;
pub mod drive;
pub mod env;
pub mod expert;
pub mod film;
pub mod guard;
pub mod idm;
pub mod map;
pub mod observation;
pub mod perceive;
mod proposal;
pub mod recording;
pub mod scene;
pub mod score;
pub mod table;
pub mod traffic;
pub mod vehicle;
pub mod world;
