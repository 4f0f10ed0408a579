//! How far predicted places lie from where things went.
//!
//! Shapes: places are x, y in metres, step by step, `[F][2]`; the ways of an agent `[M][F][2]`. A step
//! whose truth is not known does not count.
//!
//! Predictions: average and final displacement error, the least of each over an agent's ways, and misses, as
//! the Waymo and nuScenes benchmarks have them (Ettinger et al. 2021; Caesar et al. 2020). Argoverse takes
//! the average error of the way whose final error is least, which may be larger.
//! Plans: the distance to what the expert drove, in two protocols that are both reported as "L2 at T s":
//! at that time alone, as UniAD (Hu et al. 2023) has it, or on average up to then, as ST-P3 (Hu et al.
//! 2022) and VAD have it. The second is smaller; the two are not comparable.

/// A place, x and y in metres.
pub type Place = [f32; 2];

/// Distance beyond which a prediction's end is a miss, m.
pub const MISS: f32 = 2.0;

fn distance(a: Place, b: Place) -> f32 {
    (a[0] - b[0]).hypot(a[1] - b[1])
}

/// Distances at the steps whose truth is known, in order.
fn distances<'a>(
    predicted: &'a [Place],
    truth: &'a [Option<Place>],
) -> impl Iterator<Item = f32> + 'a {
    let pairs = predicted.iter().zip(truth);
    pairs.filter_map(|(predicted, truth)| Some(distance(*predicted, (*truth)?)))
}

/// The mean of distances; none of none.
fn mean(distances: impl Iterator<Item = f32>) -> Option<f32> {
    let (sum, count) = distances.fold((0.0, 0), |(sum, count), d| (sum + f64::from(d), count + 1));
    (count > 0).then(|| (sum / f64::from(count)) as f32)
}

/// Average displacement error, m: the mean distance over known steps. `None` where no step is known.
pub fn average_displacement(predicted: &[Place], truth: &[Option<Place>]) -> Option<f32> {
    mean(distances(predicted, truth))
}

/// Final displacement error, m: the distance at the last known step. `None` where no step is known.
pub fn final_displacement(predicted: &[Place], truth: &[Option<Place>]) -> Option<f32> {
    distances(predicted, truth).last()
}

/// The least average displacement error of an agent's ways, m.
pub fn least_average_displacement<W: AsRef<[Place]>>(
    ways: &[W],
    truth: &[Option<Place>],
) -> Option<f32> {
    least(ways, |way| average_displacement(way, truth))
}

/// The least final displacement error of an agent's ways, m.
pub fn least_final_displacement<W: AsRef<[Place]>>(
    ways: &[W],
    truth: &[Option<Place>],
) -> Option<f32> {
    least(ways, |way| final_displacement(way, truth))
}

/// Whether all of an agent's ways end farther than [`MISS`] from where it went.
pub fn missed<W: AsRef<[Place]>>(ways: &[W], truth: &[Option<Place>]) -> Option<bool> {
    least_final_displacement(ways, truth).map(|distance| distance > MISS)
}

fn least<W: AsRef<[Place]>>(ways: &[W], error: impl Fn(&[Place]) -> Option<f32>) -> Option<f32> {
    ways.iter()
        .filter_map(|way| error(way.as_ref()))
        .min_by(f32::total_cmp)
}

/// The distance of a plan from what the expert drove at the end of step `steps` (1 is the first), m:
/// UniAD's protocol. `None` where the plan or the truth is shorter.
pub fn plan_l2_at(plan: &[Place], driven: &[Place], steps: usize) -> Option<f32> {
    let index = steps.checked_sub(1)?;
    Some(distance(*plan.get(index)?, *driven.get(index)?))
}

/// The mean of the distances at the first `steps` steps, m: ST-P3's protocol, over all steps up to then.
/// `None` where the plan or the truth is shorter, or `steps` is 0.
pub fn plan_l2_until(plan: &[Place], driven: &[Place], steps: usize) -> Option<f32> {
    let (plan, driven) = (plan.get(..steps)?, driven.get(..steps)?);
    mean(plan.iter().zip(driven).map(|(a, b)| distance(*a, *b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRUTH: [Option<Place>; 4] = [Some([1.0, 0.0]), None, Some([3.0, 0.0]), None];

    #[test]
    fn errors_count_known_steps_alone() {
        let way = [[1.0, 3.0], [90.0, 0.0], [3.0, 1.0], [90.0, 0.0]];
        assert_eq!(average_displacement(&way, &TRUTH), Some(2.0));
        assert_eq!(final_displacement(&way, &TRUTH), Some(1.0));
        assert_eq!(average_displacement(&way, &[None; 4]), None);
        assert_eq!(final_displacement(&way, &[None; 4]), None);
    }

    #[test]
    fn the_best_way_may_differ_by_error() {
        // The first is nearer on average, the second at the end.
        let ways = [
            [[1.0, 0.0], [0.0; 2], [3.0, 3.0], [0.0; 2]],
            [[1.0, 4.0], [0.0; 2], [3.0, 2.5], [0.0; 2]],
        ];
        assert_eq!(least_average_displacement(&ways, &TRUTH), Some(1.5));
        assert_eq!(least_final_displacement(&ways, &TRUTH), Some(2.5));
        assert_eq!(missed(&ways, &TRUTH), Some(true));
        let near = [[[1.0, 0.0], [0.0; 2], [3.0, 2.0], [0.0; 2]]];
        assert_eq!(missed(&near, &TRUTH), Some(false));
        assert_eq!(missed::<[Place; 4]>(&[], &TRUTH), None);
    }

    #[test]
    fn the_two_protocols_of_plans() {
        let driven: Vec<Place> = (1..=20).map(|step| [step as f32, 0.0]).collect();
        let plan: Vec<Place> = (1..=20)
            .map(|step| [step as f32, 0.1 * step as f32])
            .collect();
        let at = plan_l2_at(&plan, &driven, 10).unwrap();
        assert!((at - 1.0).abs() < 1e-6);
        // (0.1 + ... + 1.0) / 10
        let until = plan_l2_until(&plan, &driven, 10).unwrap();
        assert!((until - 0.55).abs() < 1e-6);
        assert!((plan_l2_at(&plan, &driven, 20).unwrap() - 2.0).abs() < 1e-6);
        assert_eq!(plan_l2_at(&plan, &driven, 0), None);
        assert_eq!(plan_l2_at(&plan, &driven, 21), None);
        assert_eq!(plan_l2_until(&plan, &driven, 0), None);
        assert_eq!(plan_l2_until(&plan, &driven[..5], 10), None);
    }
}
