//! The program.

mod display;
mod units;

fn main() {}
