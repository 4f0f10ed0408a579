//! Noisy curves made readable: smoothing, thinning, and limits that a few spikes do not set.

/// Points of one uninterrupted piece of a curve.
pub(super) type Points = Vec<(f64, f64)>;

/// Exponential moving average over about `window` points, without bias at the start (Kingma and Ba
/// 2015, section 3).
pub(super) fn smooth(points: &[(f64, f64)], window: f64) -> Points {
    let keep = 1.0 - 1.0 / window.max(1.0);
    let (mut sum, mut weight) = (0.0, 0.0);
    points
        .iter()
        .map(|&(x, y)| {
            sum = keep * sum + (1.0 - keep) * y;
            weight = keep * weight + (1.0 - keep);
            (x, sum / weight)
        })
        .collect()
}

/// At most about `2 * buckets` points: the lowest and the highest of each bucket, in order, so that
/// spikes stay visible.
pub(super) fn thin(points: &[(f64, f64)], buckets: usize) -> Points {
    if points.len() <= 2 * buckets {
        return points.to_vec();
    }
    let size = points.len().div_ceil(buckets);
    let mut out = Vec::with_capacity(2 * buckets + 2);
    out.push(points[0]);
    for bucket in points.chunks(size) {
        let by_y = |&(a, _): &(usize, &(f64, f64)), &(b, _): &(usize, &(f64, f64))| {
            bucket[a].1.total_cmp(&bucket[b].1)
        };
        let low = bucket.iter().enumerate().min_by(by_y).map_or(0, |(i, _)| i);
        let high = bucket.iter().enumerate().max_by(by_y).map_or(0, |(i, _)| i);
        out.push(bucket[low.min(high)]);
        if low != high {
            out.push(bucket[low.max(high)]);
        }
    }
    out.push(points[points.len() - 1]);
    out.dedup();
    out
}

/// The range of most values: all but one in two hundred at each end.
pub(super) fn bulk(values: &mut [f64]) -> Option<(f64, f64)> {
    values.sort_by(f64::total_cmp);
    let cut = values.len() / 200;
    Some((
        *values.get(cut)?,
        *values.get(values.len().checked_sub(1 + cut)?)?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smoothing_starts_at_the_first_value_and_keeps_a_constant() {
        let flat: Points = (0..50).map(|x| (f64::from(x), 3.0)).collect();
        assert!(
            smooth(&flat, 10.0)
                .iter()
                .all(|&(_, y)| (y - 3.0).abs() < 1e-12)
        );
        let step = [(0.0, 4.0), (1.0, 0.0)];
        let smoothed = smooth(&step, 2.0);
        assert!((smoothed[0].1 - 4.0).abs() < 1e-12);
        assert!((smoothed[1].1 - 4.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn thinning_keeps_spikes_and_ends() {
        let mut points: Points = (0..10_000).map(|x| (f64::from(x), 1.0)).collect();
        points[4321].1 = 50.0;
        let thinned = thin(&points, 100);
        assert!(thinned.len() <= 202);
        assert!(thinned.contains(&(4321.0, 50.0)));
        assert_eq!((thinned[0].0, thinned[thinned.len() - 1].0), (0.0, 9999.0));
        assert!(thinned.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[test]
    fn a_spike_does_not_set_the_limits() {
        let mut values: Vec<f64> = (0..1000).map(|x| f64::from(x % 10)).collect();
        values[500] = 1e9;
        assert_eq!(bulk(&mut values), Some((0.0, 9.0)));
        assert_eq!(bulk(&mut []), None);
    }
}
