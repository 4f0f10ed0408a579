//! Gradients against qpth and against central differences, exact and relaxed.

mod support;

use conjoin_qp::{Gradients, Method, Qp, QpError, Solution, solve, solve_interior};
use safetensors::SafeTensors;
use support::{FAMILIES, Plain, difference, random};

/// The loss whose gradient towards z is `gradient`.
fn loss(found: &Solution, gradient: &[f64]) -> f64 {
    found.z.iter().zip(gradient).map(|(z, g)| z * g).sum()
}

fn direction(n: usize) -> Vec<f64> {
    (0..n).map(|i| (1.7 * i as f64 + 0.4).sin()).collect()
}

/// The largest relative difference between gradients and central differences of a way to solve, over
/// all numbers of the program.
fn against_differences(
    plain: &Plain,
    gradients: &Gradients,
    way: impl Fn(&Qp) -> Solution,
    h: f64,
) -> (f64, &'static str) {
    let towards = direction(plain.n);
    let n = plain.n;
    let value = |plain: &Plain| loss(&way(&plain.build().unwrap()), &towards);
    let both = |change: &dyn Fn(&mut Plain, f64)| {
        let (mut up, mut down) = (plain.clone(), plain.clone());
        change(&mut up, h);
        change(&mut down, -h);
        (value(&up) - value(&down)) / (2.0 * h)
    };
    let mut worst = (0.0, "nothing");
    let mut compare = |name: &'static str, found: f64, expected: f64| {
        let off = (found - expected).abs() / (1.0 + expected.abs());
        if off > worst.0 {
            worst = (off, name);
        }
    };
    for i in 0..n {
        compare("p", gradients.p[i], both(&|x, h| x.p[i] += h));
        // On the edge of convexity, a step to one side would leave it.
        for j in (0..=i).filter(|_| is_definite(plain)) {
            // Symmetric pairs move together.
            let expected = both(&|x, h| {
                x.q[i * n + j] += h;
                if i != j {
                    x.q[j * n + i] += h;
                }
            });
            let pair = if i == j { 1.0 } else { 2.0 };
            compare("Q", pair * gradients.q[i * n + j], expected);
        }
    }
    for i in 0..plain.b.len() {
        compare("b", gradients.b[i], both(&|x, h| x.b[i] += h));
    }
    for i in 0..plain.a.len() {
        compare("A", gradients.a[i], both(&|x, h| x.a[i] += h));
    }
    for i in 0..plain.h.len() {
        compare("h", gradients.h[i], both(&|x, h| x.h[i] += h));
        if let Some((linear, quadratic)) = plain.soft[i] {
            let expected = both(&|x, h| x.soft[i] = Some((linear + h, quadratic)));
            compare("linear penalty", gradients.linear[i], expected);
            if quadratic > 0.0 {
                let expected = both(&|x, h| x.soft[i] = Some((linear, quadratic + h)));
                compare("quadratic penalty", gradients.quadratic[i], expected);
            }
        } else {
            assert_eq!((gradients.linear[i], gradients.quadratic[i]), (0.0, 0.0));
        }
    }
    for i in 0..plain.g.len() {
        compare("G", gradients.g[i], both(&|x, h| x.g[i] += h));
    }
    worst
}

/// Whether Q may be changed a little in any direction.
fn is_definite(plain: &Plain) -> bool {
    let mut less = plain.clone();
    (0..plain.n).for_each(|i| less.q[i * plain.n + i] -= 0.01);
    solve(&less.build().unwrap()).is_ok()
}

/// Whether no row is so close to a change of the working set that a difference would straddle it.
fn is_smooth(plain: &Plain, found: &Solution) -> bool {
    (0..plain.h.len()).all(|i| {
        let row = &plain.g[i * plain.n..(i + 1) * plain.n];
        let product: f64 = row.iter().zip(&found.z).map(|(g, z)| g * z).sum();
        let room = plain.h[i] + found.slacks[i] - product;
        let kinks = match plain.soft[i] {
            None => found.duals[i].max(room),
            Some((linear, quadratic)) => {
                let rest = linear + quadratic * found.slacks[i] - found.duals[i];
                found.duals[i].max(room).min(found.slacks[i].max(rest))
            }
        };
        kinks > 1e-2
    })
}

#[test]
fn exact_gradients_are_central_differences() {
    for (family, least) in [(0, 8), (1, 8), (4, 1), (5, 5), (6, 5)] {
        let mut seen = 0;
        for seed in 0..60 {
            let plain = random(family, seed + 700);
            let qp = plain.build().unwrap();
            let found = solve(&qp).unwrap();
            if plain.n > 9 || !is_smooth(&plain, &found) {
                continue;
            }
            seen += 1;
            let gradients = found.backward(&qp, &direction(plain.n)).unwrap();
            let way = |qp: &Qp| solve(qp).unwrap();
            let (off, what) = against_differences(&plain, &gradients, way, 1e-6);
            assert!(off < 2e-4, "{} {seed} {what}: {off:e}", FAMILIES[family]);
        }
        assert!(seen >= least, "{}: only {seen}", FAMILIES[family]);
    }
}

#[test]
fn both_methods_give_the_same_gradients() {
    let mut seen = 0;
    for seed in 0..60 {
        let plain = random(5, seed + 800);
        let qp = plain.build().unwrap();
        let (active, interior) = (solve(&qp).unwrap(), solve_interior(&qp).unwrap());
        if !is_smooth(&plain, &active) {
            continue;
        }
        seen += 1;
        assert_eq!(active.method, Method::ActiveSet);
        assert_eq!(interior.method, Method::InteriorPoint);
        let towards = direction(plain.n);
        let one = active.backward(&qp, &towards).unwrap();
        let two = interior.backward(&qp, &towards).unwrap();
        for (a, b) in [
            (&one.q, &two.q),
            (&one.p, &two.p),
            (&one.a, &two.a),
            (&one.b, &two.b),
            (&one.g, &two.g),
            (&one.h, &two.h),
            (&one.linear, &two.linear),
            (&one.quadratic, &two.quadratic),
        ] {
            assert!(difference(b, a) < 1e-5, "{seed}: {:e}", difference(b, a));
        }
    }
    assert!(seen >= 10, "{seen}");
}

#[test]
fn relaxed_gradients_are_central_differences_of_the_central_path() {
    for family in [0, 2, 3, 5, 6] {
        let mut seen = 0;
        for seed in 0..12 {
            let mut plain = random(family, seed + 900);
            if plain.n > 7 || seen == 3 {
                continue;
            }
            if family == 2 {
                // Moved alone, one of two equal equations contradicts the other.
                plain.a.clear();
                plain.b.clear();
            }
            seen += 1;
            let qp = plain.build().unwrap();
            let exact = solve(&qp).unwrap();
            for barrier in [1e-1, 1e-3] {
                let relaxed = exact.relax(&qp, barrier).unwrap();
                assert_eq!(relaxed.method, Method::CentralPath(barrier));
                let gap = relaxed.objective - exact.objective;
                let rows = 2.0 * plain.h.len() as f64;
                assert!((-1e-7..=barrier * rows).contains(&gap), "{gap:e}");
                let gradients = relaxed.backward(&qp, &direction(plain.n)).unwrap();
                let way = |qp: &Qp| solve(qp).unwrap().relax(qp, barrier).unwrap();
                let (off, what) = against_differences(&plain, &gradients, way, 1e-5);
                let name = FAMILIES[family];
                assert!(off < 1e-3, "{name} {seed} {barrier} {what}: {off:e}");
            }
        }
        assert!(seen > 0, "{}", FAMILIES[family]);
    }
}

#[test]
fn a_pinned_plan_still_learns_through_the_relaxed_gradient() {
    // min (z - 3)^2 / 2 with z <= 1: the gradient towards p vanishes at the bound.
    let qp = Qp::new(vec![1.0], vec![-3.0]).unwrap();
    let qp = qp.at_most(&[1.0], &[1.0]).unwrap();
    let exact = solve(&qp).unwrap();
    assert_eq!(exact.backward(&qp, &[1.0]).unwrap().p, [0.0]);
    let barrier = 0.1;
    let relaxed = exact.relax(&qp, barrier).unwrap();
    // By hand: z - 3 + barrier / (1 - z) = 0, so dz/dp = -1 / (1 + barrier / (1 - z)^2).
    let room = (1.0 + barrier).sqrt() - 1.0;
    assert!((relaxed.z[0] - (1.0 - room)).abs() < 1e-9);
    let expected = -1.0 / (1.0 + barrier / (room * room));
    let found = relaxed.backward(&qp, &[1.0]).unwrap().p[0];
    assert!((found - expected).abs() < 1e-9 && found < -0.01, "{found}");
    for wrong in [0.0, -1.0, f64::NAN] {
        let error = exact.relax(&qp, wrong).unwrap_err();
        assert!(matches!(error, QpError::Barrier { .. }));
    }
    let error = exact.backward(&qp, &[f64::NAN]).unwrap_err();
    assert!(matches!(error, QpError::NotFinite { .. }));
    let error = exact.backward(&qp, &[1.0, 2.0]).unwrap_err();
    assert!(matches!(error, QpError::Shape { .. }));
}

fn numbers(file: &SafeTensors, name: &str) -> Option<Vec<f64>> {
    let view = file.tensor(name).ok()?;
    let chunks = view.data().chunks_exact(8);
    Some(
        chunks
            .map(|x| f64::from_le_bytes(x.try_into().unwrap()))
            .collect(),
    )
}

#[test]
fn solutions_and_gradients_are_those_of_qpth() {
    let bytes = include_bytes!("golden/gradients.safetensors");
    let file = SafeTensors::deserialize(bytes).unwrap();
    for case in 0..5 {
        let get = |name: &str| numbers(&file, &format!("{case}.{name}"));
        let qp = Qp::new(get("q").unwrap(), get("p").unwrap()).unwrap();
        let qp = qp.equal(&get("a").unwrap(), &get("b").unwrap()).unwrap();
        let qp = qp.at_most(&get("g").unwrap(), &get("h").unwrap()).unwrap();
        for found in [solve(&qp).unwrap(), solve_interior(&qp).unwrap()] {
            let off = difference(&found.z, &get("z").unwrap());
            assert!(off < 1e-6, "{case} {:?}: {off:e}", found.method);
            let gradients = found.backward(&qp, &get("dz").unwrap()).unwrap();
            for (name, gradient) in [
                ("dq", &gradients.q),
                ("dp", &gradients.p),
                ("da", &gradients.a),
                ("db", &gradients.b),
                ("dg", &gradients.g),
                ("dh", &gradients.h),
            ] {
                let Some(expected) = get(name) else {
                    assert!(gradient.is_empty());
                    continue;
                };
                let off = difference(gradient, &expected);
                assert!(off < 1e-5, "{case} {:?} {name}: {off:e}", found.method);
            }
        }
    }
}
