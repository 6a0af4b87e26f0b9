//! A kernel as parameters name it: a family, and a bandwidth that may be left to the data.

use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Bandwidth;
use crate::linalg::Matrix;
use crate::linalg::kernels::{Kernel, KernelError, MAX_DEGREE};
use crate::linalg::median::{Distance, median_bandwidth};

/// A family of kernels.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum KernelName {
    /// x·y; has no bandwidth.
    Linear,
    /// exp(−‖x−y‖² / 2σ²), σ the bandwidth.
    Rbf,
    /// exp(−‖x−y‖₁ / σ), σ the bandwidth.
    Laplacian,
    /// x·y / (‖x‖ ‖y‖); has no bandwidth.
    Cosine,
    /// (x·y / σ² + offset)^degree, σ the bandwidth, which keeps products of the order of 1.
    Polynomial(Polynomial),
}

/// The shape of a polynomial kernel.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(inline)]
pub struct Polynomial {
    /// The highest number of features that are multiplied with each other.
    #[schemars(range(min = 1, max = MAX_DEGREE))]
    pub degree: u32,
    /// Added to the product of rows: the larger, the more the lower powers count; 0 leaves the highest alone.
    #[schemars(range(min = 0.0, max = 1e6))]
    pub offset: f64,
}

impl Default for Polynomial {
    fn default() -> Self {
        Self { degree: 3, offset: 1.0 }
    }
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
            KernelName::Cosine => Kernel::Cosine,
            KernelName::Polynomial(Polynomial { degree, offset }) => {
                Kernel::Polynomial { bandwidth: sigma(Distance::Euclidean)?, degree, offset }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use serde_json::json;

    use super::super::Checked;
    use super::*;

    #[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
    #[serde(default, deny_unknown_fields)]
    struct One {
        /// A kernel.
        kernel: KernelName,
    }

    impl Default for One {
        fn default() -> Self {
            Self { kernel: KernelName::Rbf }
        }
    }

    fn kernel(value: serde_json::Value) -> Option<KernelName> {
        Checked::<One>::new(&json!({ "kernel": value })).ok().map(|p| p.kernel)
    }

    #[test]
    fn a_polynomial_carries_its_shape_and_the_others_are_words() {
        assert_eq!(kernel(json!("cosine")), Some(KernelName::Cosine));
        assert_eq!(kernel(json!({"polynomial": {}})), Some(KernelName::Polynomial(Polynomial::default())));
        let two = Polynomial { degree: 2, offset: 0.5 };
        assert_eq!(kernel(json!({"polynomial": {"degree": 2, "offset": 0.5}})), Some(KernelName::Polynomial(two)));
        for wrong in [
            json!({"polynomial": {"degree": 0}}),
            json!({"polynomial": {"degree": 11}}),
            json!({"polynomial": {"offset": -0.1}}),
            json!({"polynomial": {"power": 2}}),
            json!({"cosine": {}}),
            json!("quadratic"),
        ] {
            assert_eq!(kernel(wrong.clone()), None, "{wrong}");
        }
    }

    #[test]
    fn the_bandwidth_of_a_polynomial_is_a_distance() {
        let x = Matrix::from(ndarray::array![[0.0], [1.0], [3.0]]);
        let name = KernelName::Polynomial(Polynomial::default());
        let got = name.resolve(Bandwidth::default(), &[&x], &mut ChaCha8Rng::seed_from_u64(0)).unwrap();
        assert_eq!(got, Kernel::Polynomial { bandwidth: 2.0, degree: 3, offset: 1.0 });
    }
}
