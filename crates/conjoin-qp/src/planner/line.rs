//! Lines of points, such as a route, and their nearest places.

/// A line through points, m. Points that are as good as equal to the one before do not count.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    segments: Vec<Segment>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Segment {
    from: [f64; 2],
    /// Unit vector.
    along: [f64; 2],
    length: f64,
}

/// The place of a line that is nearest to a point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    /// Where it is, m.
    pub foot: [f64; 2],
    /// The unit vector along the line there.
    pub along: [f64; 2],
    /// From the point, m.
    pub distance: f64,
}

impl Line {
    /// From points `[P]` of x and y, m.
    pub fn new(points: &[[f64; 2]]) -> Self {
        let segments = points.windows(2).filter_map(|pair| {
            let [from, to] = [pair[0], pair[1]];
            let (dx, dy) = (to[0] - from[0], to[1] - from[1]);
            let length = dx.hypot(dy);
            (length > 1e-6).then(|| Segment {
                from,
                along: [dx / length, dy / length],
                length,
            })
        });
        Self {
            segments: segments.collect(),
        }
    }

    /// The place nearest to a point, the first of several; none where no two points differ. An `open` line
    /// goes on straight behind its last point and before its first.
    pub fn nearest(&self, [x, y]: [f64; 2], open: bool) -> Option<Place> {
        let last = self.segments.len().saturating_sub(1);
        let mut best: Option<Place> = None;
        for (i, segment) in self.segments.iter().enumerate() {
            let Segment {
                from,
                along,
                length,
            } = *segment;
            let mut at = (x - from[0]) * along[0] + (y - from[1]) * along[1];
            if i > 0 || !open {
                at = at.max(0.0);
            }
            if i < last || !open {
                at = at.min(length);
            }
            let foot = [from[0] + at * along[0], from[1] + at * along[1]];
            let distance = (x - foot[0]).hypot(y - foot[1]);
            if best.is_none_or(|best| distance < best.distance) {
                best = Some(Place {
                    foot,
                    along,
                    distance,
                });
            }
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_line_goes_on_and_a_closed_one_ends() {
        let line = Line::new(&[[0.0, 0.0], [0.0, 0.0], [10.0, 0.0], [10.0, 10.0]]);
        let place = |point: [f64; 2], open: bool| {
            let place = line.nearest(point, open).unwrap();
            (place.foot, place.along, place.distance)
        };
        let (east, north) = ([1.0, 0.0], [0.0, 1.0]);
        for open in [false, true] {
            assert_eq!(place([4.0, 2.0], open), ([4.0, 0.0], east, 2.0));
            assert_eq!(place([7.0, 6.0], open), ([10.0, 6.0], north, 3.0));
            // Beyond the corner the end of either segment is as near: the first counts.
            assert_eq!(place([13.0, -4.0], open), ([10.0, 0.0], east, 5.0));
        }
        assert_eq!(place([-3.0, 4.0], false), ([0.0, 0.0], east, 5.0));
        assert_eq!(place([-3.0, 4.0], true), ([-3.0, 0.0], east, 4.0));
        assert_eq!(place([13.0, 14.0], false), ([10.0, 10.0], north, 5.0));
        assert_eq!(place([13.0, 14.0], true), ([10.0, 14.0], north, 3.0));
        assert_eq!(
            Line::new(&[[1.0, 1.0], [1.0, 1.0]]).nearest([0.0; 2], true),
            None
        );
        assert_eq!(Line::new(&[]).nearest([0.0; 2], false), None);
    }
}
