//! A world of roads.

pub mod actor;
pub mod baseline;
pub mod camera;
pub mod dataset;
pub mod draw;
pub mod drive;
pub mod env;
pub mod expert;
pub mod idm;
pub mod map;
pub mod observation;
pub mod perceive;
pub mod scene;
pub mod score;
pub mod traffic;
pub mod vehicle;
pub mod world;
