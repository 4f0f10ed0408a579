//! A thousand random programs against Clarabel, by the active set where it suits and by the interior
//! point: solutions, optimality conditions, and what is said where there is none.

mod support;

use conjoin_qp::{
    Method, Penalty, Qp, QpError, Row, solve, solve_batch, solve_from, solve_interior,
};
use support::{FAMILIES, Oracle, Plain, difference, optimality, oracle, random};

/// Programs of each family; all of them are a thousand and more.
const EACH: u64 = 115;

#[test]
fn a_thousand_programs_agree_with_clarabel() {
    let (mut failures, mut silent) = (Vec::new(), 0);
    for (family, name) in FAMILIES.iter().enumerate() {
        let (mut exact, mut interior, mut none) = (0, 0, 0);
        for seed in 0..EACH {
            let plain = random(family, seed);
            let qp = plain.build().unwrap();
            let expected = oracle(&plain);
            for (how, found) in [("auto", solve(&qp)), ("interior", solve_interior(&qp))] {
                match (&found, &expected) {
                    (Ok(found), Oracle::Solution(_) | Oracle::Silent) => {
                        // The conditions are sufficient, so that they alone vouch for a solution.
                        let rest = optimality(&plain, found);
                        let off = if let Oracle::Solution(expected) = &expected {
                            difference(&found.z, expected)
                        } else {
                            silent += 1;
                            0.0
                        };
                        if off > 1e-5 || rest > 1e-6 {
                            failures.push(format!(
                                "{name} {seed} {how} {:?}: off by {off:e}, optimality {rest:e}",
                                found.method
                            ));
                        }
                        if found.method == Method::ActiveSet {
                            exact += 1;
                        } else {
                            interior += 1;
                        }
                    }
                    (Err(QpError::Contradiction { rows }), Oracle::Infeasible | Oracle::Silent) => {
                        none += 1;
                        if let Err(why) = contradicts(&plain, rows) {
                            failures.push(format!("{name} {seed} {how}: {why} {rows:?}"));
                        }
                    }
                    _ => failures.push(format!(
                        "{name} {seed} {how}: found {:?}, expected {expected:.3?}",
                        found.as_ref().map(|found| found.method)
                    )),
                }
            }
        }
        println!("{name}: {exact} by active set, {interior} by interior point, {none} infeasible");
        assert_eq!(
            none > 0,
            name.starts_with("infeasible"),
            "{name}: {none} infeasible"
        );
    }
    println!("{silent} on which the oracle was silent");
    assert!(silent < 40, "{silent}");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The rows named have no common point, and have one as soon as any of them is left out.
fn contradicts(plain: &Plain, rows: &[Row]) -> Result<(), String> {
    let some = |rows: &[Row]| {
        let n = plain.n;
        let mut part = Plain {
            q: (0..n * n)
                .map(|i| f64::from(u8::from(i % (n + 1) == 0)))
                .collect(),
            p: vec![0.0; n],
            a: Vec::new(),
            b: Vec::new(),
            g: Vec::new(),
            h: Vec::new(),
            soft: vec![None; rows.len()],
            n,
        };
        for row in rows {
            match *row {
                Row::Equality(i) => {
                    part.a.extend(&plain.a[i * n..(i + 1) * n]);
                    part.b.push(plain.b[i]);
                }
                Row::Inequality(i) => {
                    part.g.extend(&plain.g[i * n..(i + 1) * n]);
                    part.h.push(plain.h[i]);
                }
            }
        }
        part.soft.truncate(part.h.len());
        !matches!(oracle(&part), Oracle::Infeasible)
    };
    if some(rows) {
        return Err("rows that can be kept together".to_owned());
    }
    for left_out in 0..rows.len() {
        let mut rest = rows.to_vec();
        rest.remove(left_out);
        if !rest.is_empty() && !some(&rest) {
            return Err(format!("{} is not needed", rows[left_out]));
        }
    }
    Ok(())
}

#[test]
fn a_warm_start_changes_the_way_but_not_the_end() {
    let (mut cold_steps, mut warm_steps) = (0, 0);
    for seed in 0..200 {
        for family in [0, 1, 2, 5] {
            let plain = random(family, seed + 5000);
            let qp = plain.build().unwrap();
            let cold = solve(&qp).unwrap();
            let mut near = plain.clone();
            near.p.iter_mut().for_each(|p| *p *= 1.02);
            let near = near.build().unwrap();
            let alone = solve(&near).unwrap();
            let warm = solve_from(&near, &cold.active).unwrap();
            let off = difference(&warm.z, &alone.z);
            assert!(off < 1e-7, "{} {seed}: {off:e}", FAMILIES[family]);
            cold_steps += alone.iterations;
            warm_steps += warm.iterations;
            // Any rows may be named, even ones that there are not.
            let wrong = solve_from(&qp, &[0, 0, 1, 2, 3, 4, 5, 6, 7, 900]).unwrap();
            let off = difference(&wrong.z, &cold.z);
            assert!(off < 1e-7, "{} {seed}: {off:e}", FAMILIES[family]);
        }
    }
    assert!(
        warm_steps * 4 < cold_steps,
        "{warm_steps} steps warm, {cold_steps} cold"
    );
}

#[test]
fn batches_do_not_depend_on_threads() {
    let programs: Vec<Qp> = (0..60)
        .map(|seed| random(seed as usize % 7, seed).build().unwrap())
        .collect();
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        let found = pool
            .build()
            .unwrap()
            .install(|| solve_batch(&programs, &[]));
        (found.into_iter())
            .map(|found| found.map(|found| (found.z, found.duals, found.slacks)))
            .collect::<Vec<_>>()
    };
    let one = on(1);
    assert!(one.iter().all(Result::is_ok));
    assert!(one == on(2) && one == on(5));
}

#[test]
fn what_has_no_solution_says_why() {
    let line = |q: f64, p: f64| Qp::new(vec![q], vec![p]).unwrap();
    let unbounded = line(0.0, 1.0).at_most(&[1.0], &[3.0]).unwrap();
    assert_eq!(solve(&unbounded).unwrap_err(), QpError::Unbounded);
    // A soft row whose penalty is too small to hold the objective.
    let weak = Penalty {
        linear: 0.5,
        quadratic: 0.0,
    };
    let soft = line(0.0, 1.0).at_most(&[-1.0], &[3.0]).unwrap();
    let soft = soft.soften(0, weak).unwrap();
    assert_eq!(solve(&soft).unwrap_err(), QpError::Unbounded);
    assert!(matches!(
        solve(&line(-1.0, 0.0)),
        Err(QpError::NonConvex { curvature }) if curvature < 0.0
    ));
    let empty = line(1.0, 0.0)
        .at_most(&[1.0, 0.0, -1.0], &[-1.0, 5.0, 0.5])
        .unwrap();
    let error = solve(&empty).unwrap_err();
    assert_eq!(
        error.to_string(),
        "hard rows contradict each other: inequality 0, inequality 2"
    );
    // A row of zeros that asks for the impossible.
    let zero = line(1.0, 0.0).at_most(&[0.0], &[-1.0]).unwrap();
    assert_eq!(
        solve(&zero).unwrap_err(),
        QpError::Contradiction {
            rows: vec![Row::Inequality(0)]
        }
    );
    let nothing = Qp::new(Vec::new(), Vec::new()).unwrap();
    assert!(solve(&nothing).unwrap().z.is_empty());
}

#[test]
fn extreme_numbers_never_give_nan() {
    for seed in 0..300 {
        for (family, name) in FAMILIES.iter().enumerate() {
            let mut plain = random(family, seed + 9000);
            let factor = 10.0_f64.powi((seed % 25) as i32 * 25 - 300);
            let numbers: [&mut Vec<f64>; 5] = [
                &mut plain.q,
                &mut plain.p,
                &mut plain.g,
                &mut plain.h,
                &mut plain.a,
            ];
            for x in numbers.into_iter().nth(seed as usize % 5).unwrap() {
                *x *= factor;
            }
            let Ok(qp) = plain.build() else { continue };
            for found in [solve(&qp), solve_interior(&qp)].into_iter().flatten() {
                let numbers = found.z.iter().chain(&found.duals).chain(&found.slacks);
                assert!(
                    numbers.chain(&found.equality_duals).all(|x| x.is_finite()),
                    "{name} {seed}"
                );
                if let Ok(gradients) = found.backward(&qp, &vec![1.0; plain.n]) {
                    let all = [&gradients.q, &gradients.g, &gradients.a, &gradients.linear];
                    assert!(
                        all.into_iter().flatten().all(|x| x.is_finite()),
                        "{name} {seed}"
                    );
                }
            }
        }
    }
}
