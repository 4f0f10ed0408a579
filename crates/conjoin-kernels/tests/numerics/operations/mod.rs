//! Every operation against Burn's own, forward and backward: random sizes, sizes of 1 and primes, views,
//! empty batches, threads, and the messages for what does not fit. What holds for all is said once, in
//! `law.rs`.

mod attention;
mod conv;
mod law;
mod loss;
mod messages;
mod norm;
mod optim;
mod pointwise;
mod pool;
mod recurrent;
