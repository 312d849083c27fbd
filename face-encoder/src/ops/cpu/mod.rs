//! What the fused operations share on the CPU: operands, vector arithmetic, matrix products.

mod gemm;
mod operand;
mod values;
mod vector;

pub use gemm::{Matrix, Threads, product};
pub use operand::{Fused, Operand, apply};
pub use values::{BLOCK, ROWS, column_sums, dense, owned, read, repeated, tensor, zipped};
pub use vector::{erf, exp, max, sum, vectorized};
