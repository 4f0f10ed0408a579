//! What a driver on a path must mind: who is ahead, lights, and those who go first.

use super::actor::Body;
use super::idm::Lead;
use super::map::{LightState, Path, RoadMap, Yield};
use crate::geometry::{Vec2, wrap_angle};

/// A driver's place on a path.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    pub path: &'a Path,
    /// Arc length of the middle.
    pub s: f64,
    /// Offsets of the corridor's edges to the path: right (lower) and left.
    pub corridor: (f64, f64),
    pub half_length: f64,
    pub speed: f64,
}

/// The nearest of the bodies ahead within `reach` metres that stands in the corridor.
pub fn lead<'b>(place: &Place, bodies: impl Iterator<Item = &'b Body>, reach: f64) -> Option<Lead> {
    let line = &place.path.line;
    let here = line.at(place.s).at;
    let mut found: Option<Lead> = None;
    for body in bodies {
        let centre = body.footprint.pose.at;
        if (centre - here).squared() > (reach + 6.0).powi(2) {
            continue;
        }
        let on = line.project_between(centre, place.s - 1.0, place.s + reach);
        let radius = body.footprint.radius();
        let (right, left) = (place.corridor.0 - radius, place.corridor.1 + radius);
        if on.s <= place.s || on.d < right || on.d > left {
            continue;
        }
        let along = line.at(on.s).heading;
        let turn = wrap_angle(body.footprint.pose.heading - along);
        let (long, wide) = body.footprint.half_extents(turn);
        if on.d + wide < place.corridor.0 || on.d - wide > place.corridor.1 {
            continue;
        }
        // Whoever is further beside the path than along it was projected from behind a bend.
        let gap = on.s - long - place.s - place.half_length;
        if gap > reach {
            continue;
        }
        let speed = Vec2::unit(along).dot(body.velocity).max(0.0);
        let lead = Lead { gap, speed };
        found = Some(lead.nearer(found));
    }
    found
}

/// The nearest body behind on the path, as the speed of it and its gap to this place.
pub fn follower<'b>(
    place: &Place,
    bodies: impl Iterator<Item = &'b Body>,
    reach: f64,
) -> Option<Lead> {
    let line = &place.path.line;
    let here = line.at(place.s).at;
    let mut found: Option<Lead> = None;
    for body in bodies {
        let centre = body.footprint.pose.at;
        if (centre - here).squared() > reach * reach {
            continue;
        }
        let on = line.project_between(centre, place.s - reach, place.s + 1.0);
        let (long, wide) = body.footprint.half_extents(0.0);
        if on.s > place.s || on.d.abs() > wide + 1.2 {
            continue;
        }
        let gap = place.s - place.half_length - on.s - long;
        let speed = body.speed();
        if found.is_none_or(|f| gap < f.gap) {
            found = Some(Lead { gap, speed });
        }
    }
    found
}

/// The stop line ahead at which the driver has to stop, as something that stands behind it.
pub fn stop_line(place: &Place, map: &RoadMap, time: f64) -> Option<Lead> {
    let front = place.s + place.half_length;
    let lines = place.path.lights.iter().filter_map(|&(s, light)| {
        let gap = s - front;
        if !(-0.5..60.0).contains(&gap) {
            return None;
        }
        let needed = place.speed * place.speed / (2.0 * gap.max(0.1));
        let stops = match map.lights[light].state(time) {
            LightState::Green => false,
            // Those who cannot stop any more drive on.
            LightState::Yellow => needed < 3.0,
            LightState::Red => needed < 7.0,
        };
        stops.then_some(Lead { gap, speed: 0.0 })
    });
    lines.fold(None, |found, line| Some(line.nearer(found)))
}

/// One who may have to be given way to.
#[derive(Debug, Clone, Copy)]
pub struct Rival<'a> {
    pub path: &'a Path,
    pub s: f64,
    pub half_length: f64,
    pub speed: f64,
}

/// The stretch before which the driver has to wait, as something that stands at its beginning.
pub fn give_way(place: &Place, map: &RoadMap, time: f64, rivals: &[Rival]) -> Option<Lead> {
    let front = place.s + place.half_length;
    let mut found: Option<Lead> = None;
    for zone in &place.path.yields {
        let gap = zone.own.0 - 1.5 - front;
        if !(-1.5..=40.0).contains(&gap) || gap < place.speed * place.speed / 12.0 - 1.0 {
            continue;
        }
        let until = zone.own.1 - front + 2.0 * place.half_length;
        let window = (
            gap.max(0.0) / place.speed.max(3.0),
            until / place.speed.max(4.0),
        );
        if rivals
            .iter()
            .any(|rival| comes(rival, zone, window, map, time))
        {
            found = Some(Lead { gap, speed: 0.0 }.nearer(found));
        }
    }
    found
}

/// Whether the rival is in its stretch of the zone at about the same time.
fn comes(rival: &Rival, zone: &Yield, window: (f64, f64), map: &RoadMap, time: f64) -> bool {
    let Some(start) = rival.path.start_of(zone.other) else {
        return false;
    };
    let (enter, leave) = (start + zone.theirs.0, start + zone.theirs.1);
    let distance = enter - rival.s - rival.half_length;
    let rest = leave - rival.s + rival.half_length;
    // Who stands claims nothing; if it stands in the way, it is seen as being ahead.
    if rest < 0.0 || distance > 60.0 || rival.speed < 0.5 {
        return false;
    }
    let held = rival.path.lights.iter().any(|&(s, light)| {
        s > rival.s + rival.half_length - 1.0
            && s < enter + 1.0
            && map.lights[light].state(time) == LightState::Red
    });
    if held {
        return false;
    }
    let speed = rival.speed.max(1.0);
    distance / speed < window.1 + 1.0 && rest / speed > window.0 - 0.5
}
