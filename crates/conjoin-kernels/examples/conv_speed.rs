use conjoin_kernels::conv::{ConvShape, direct, weight_grad, winograd};
use std::time::Instant;
fn best(name: &str, gflop: f64, mut f: impl FnMut()) {
    let mut ts = vec![];
    for _ in 0..15 { let t = Instant::now(); f(); ts.push(t.elapsed().as_secs_f64()); }
    ts.sort_by(f64::total_cmp);
    println!("{name:>30} med {:.2} ms min {:.2} ms {:.0} GF", ts[7]*1e3, ts[0]*1e3, gflop/ts[0]);
}
fn main() {
    for (h, c, o) in [(28, 32, 32), (14, 32, 64), (14, 64, 64)] {
        let s = ConvShape::new([128, h, h, c], [o, 3, 3, c], 1, 1);
        let rnd = |n: usize, k: u32| (0..n).map(|i| ((i as u32).wrapping_mul(2654435761).wrapping_add(k) >> 8) as f32 / (1<<24) as f32 - 0.5).collect::<Vec<_>>();
        let x = rnd(128*h*h*c, 1); let w = rnd(o*9*c, 2); let dy = rnd(128*h*h*o, 3);
        let mut y = vec![0.0; dy.len()]; let mut y2 = y.clone(); let mut dx = vec![0.0; x.len()]; let mut dx2 = dx.clone();
        let g = 2.0*128.0*(h*h*9*c*o) as f64/1e9;
        best(&format!("{h} {c}-{o} direct fwd"), g, || direct::forward(s, &x, &w, None, &mut y));
        best("direct dx", g, || direct::input_gradient(s, &dy, &w, &mut dx));
        let mut dw = vec![]; let mut dw2 = vec![];
        best("direct dw", g, || dw = weight_grad::weight_gradient(s, &x, &dy, false).0);
        best("wino fwd", g, || winograd::forward(s, &x, &w, None, &mut y2));
        best("wino dx", g, || winograd::input_gradient(s, &dy, &w, &mut dx2));
        best("wino dw", g, || dw2 = winograd::weight_gradient(s, &x, &dy));
        let err = |a: &[f32], b: &[f32]| { let m = a.iter().fold(0f32, |m, v| m.max(v.abs())); a.iter().zip(b).fold(0f32, |e, (p, q)| e.max((p-q).abs()))/m };
        println!("   errors {:e} {:e} {:e}", err(&y,&y2), err(&dx,&dx2), err(&dw,&dw2));
        // naive check of a few
        let mut worst = 0f32;
        for t in 0..200usize { let p = (t*7919) % (128*h*h); let (b, r, cc) = (p/(h*h), p/h%h, p%h); let f = t % o; let mut acc = 0f64;
            for ky in 0..3 { for kx in 0..3 { let (yy, xx) = (r+ky, cc+kx); if yy<1||xx<1||yy>h||xx>h {continue;} for k in 0..c { acc += x[((b*h+yy-1)*h+xx-1)*c+k] as f64 * w[((f*3+ky)*3+kx)*c+k] as f64; } } }
            worst = worst.max((acc as f32 - y[p*o+f]).abs()); }
        println!("   naive {worst:e}");
    }
}
