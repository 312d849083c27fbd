//! What the fused operations share on the CPU: operands, vector arithmetic, matrix products.

mod gemm;
mod heads;
mod operand;
mod values;
mod vector;

pub use gemm::{Matrix, Threads, new_product, product};
pub use heads::{Heads, heads_apart, with_dense_heads};
pub use operand::{Fused, Operand, apply};
pub use values::{BLOCK, ROWS, column_sums, dense, owned, read, repeated, tensor, zipped};
pub use vector::{erf, exp, max, sum, vectorized};
