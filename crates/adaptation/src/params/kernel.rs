//! A kernel as parameters name it: a family, and a bandwidth that may be left to the data.

use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Bandwidth;
use crate::linalg::Matrix;
use crate::linalg::kernels::{Kernel, KernelError};
use crate::linalg::median::{Distance, median_bandwidth};

/// A family of kernels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum KernelName {
    /// x·y; has no bandwidth.
    Linear,
    /// exp(−‖x−y‖² / 2σ²), σ the bandwidth.
    Rbf,
    /// exp(−‖x−y‖₁ / σ), σ the bandwidth.
    Laplacian,
}

impl KernelName {
    /// The kernel with its bandwidth; `"median"` is the median distance, in the kernel's own norm,
    /// of the rows of `parts`.
    ///
    /// # Errors
    /// [`KernelError::ZeroMedian`].
    pub fn resolve(self, bandwidth: Bandwidth, parts: &[&Matrix], rng: &mut ChaCha8Rng) -> Result<Kernel, KernelError> {
        let mut sigma = |distance| match bandwidth {
            Bandwidth::Number(v) => Ok(v),
            Bandwidth::Word(_) => median_bandwidth(parts, distance, rng),
        };
        Ok(match self {
            KernelName::Linear => Kernel::Linear,
            KernelName::Rbf => Kernel::Rbf { bandwidth: sigma(Distance::Euclidean)? },
            KernelName::Laplacian => Kernel::Laplacian { bandwidth: sigma(Distance::Manhattan)? },
        })
    }
}
