//! What travels on a wire at run time: a tensor of any rank and, where rows have different
//! lengths, a length a row. Rank and type conversion happens here and nowhere else.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use conjoin_data::{ArrayData, Column};
use std::sync::Arc;

/// Why a value is not what its reader wanted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a {expected} tensor, found {found} with shape {shape:?}")]
pub struct ValueError {
    pub expected: String,
    pub found: &'static str,
    pub shape: Vec<usize>,
}

macro_rules! payload {
    ($( $variant:ident($rank:literal, $kind:ty, $is_float:tt) ),+ $(,)?) => {
        /// A tensor whose rank and element kind are known at run time.
        #[derive(Debug, Clone)]
        pub enum Payload {
            $( $variant(Tensor<$rank, $kind>) ),+
        }

        impl Payload {
            /// Sizes of all dimensions.
            pub fn shape(&self) -> Vec<usize> {
                match self { $( Self::$variant(t) => t.dims().to_vec() ),+ }
            }

            /// Whether elements are floating point.
            pub fn is_float(&self) -> bool {
                match self { $( Self::$variant(_) => $is_float ),+ }
            }

            /// The same elements outside the gradient graph.
            #[must_use]
            pub fn detach(self) -> Self {
                match self { $( Self::$variant(t) => Self::$variant(payload!(@detach $is_float, t)) ),+ }
            }

            /// The same elements on a device without autodiff.
            #[must_use]
            pub fn inner(self) -> Self {
                match self { $( Self::$variant(t) => Self::$variant(t.without_autodiff()) ),+ }
            }

            /// Rows (first dimension) picked by index, in that order.
            #[must_use]
            pub fn select_rows(self, rows: Tensor<1, Int>) -> Self {
                match self { $( Self::$variant(t) => Self::$variant(t.select(0, rows)) ),+ }
            }

            /// Copies the elements to the host.
            pub fn to_data(&self) -> TensorData {
                match self { $( Self::$variant(t) => t.to_data() ),+ }
            }

            /// Where the tensor lives.
            pub fn device(&self) -> Device {
                match self { $( Self::$variant(t) => t.device() ),+ }
            }
        }

        $(
            impl From<Tensor<$rank, $kind>> for Payload {
                fn from(tensor: Tensor<$rank, $kind>) -> Self {
                    Self::$variant(tensor)
                }
            }

            impl TryFrom<Payload> for Tensor<$rank, $kind> {
                type Error = ValueError;

                fn try_from(payload: Payload) -> Result<Self, ValueError> {
                    match payload {
                        Payload::$variant(tensor) => Ok(tensor),
                        other => Err(ValueError {
                            expected: format!(
                                "rank-{} {}",
                                $rank,
                                if $is_float { "float" } else { "integer" },
                            ),
                            found: if other.is_float() { "float" } else { "integer" },
                            shape: other.shape(),
                        }),
                    }
                }
            }
        )+
    };
    (@detach true, $t:ident) => { $t.detach() };
    (@detach false, $t:ident) => { $t };
}

payload!(
    F1(1, burn::tensor::Float, true),
    F2(2, burn::tensor::Float, true),
    F3(3, burn::tensor::Float, true),
    F4(4, burn::tensor::Float, true),
    F5(5, burn::tensor::Float, true),
    I1(1, Int, false),
    I2(2, Int, false),
    I3(3, Int, false),
);

impl Payload {
    /// Forgets the rank of a float tensor. Ranks above 5 are kept flattened.
    pub fn erase<const D: usize>(tensor: Tensor<D>) -> Self {
        match D {
            1 => Self::F1(Tensor::from_dispatch(tensor.into_dispatch())),
            2 => Self::F2(Tensor::from_dispatch(tensor.into_dispatch())),
            3 => Self::F3(Tensor::from_dispatch(tensor.into_dispatch())),
            4 => Self::F4(Tensor::from_dispatch(tensor.into_dispatch())),
            5 => Self::F5(Tensor::from_dispatch(tensor.into_dispatch())),
            _ => {
                let elements = tensor.dims().iter().product::<usize>();
                Self::F1(tensor.reshape([elements]))
            }
        }
    }

    /// The inverse of [`Payload::erase`]: the tensor with a rank and shape known to the caller.
    /// Integers become floats.
    pub fn restore<const D: usize>(self, shape: [usize; D]) -> Tensor<D> {
        macro_rules! restore {
            ($tensor:expr, $rank:literal) => {
                if D == $rank && $tensor.dims()[..] == shape[..] {
                    Tensor::from_dispatch($tensor.into_dispatch())
                } else {
                    $tensor.reshape(shape)
                }
            };
        }
        match self {
            Self::F1(t) => restore!(t, 1),
            Self::F2(t) => restore!(t, 2),
            Self::F3(t) => restore!(t, 3),
            Self::F4(t) => restore!(t, 4),
            Self::F5(t) => restore!(t, 5),
            Self::I1(t) => t.float().reshape(shape),
            Self::I2(t) => t.float().reshape(shape),
            Self::I3(t) => t.float().reshape(shape),
        }
    }
}

/// A tensor and the valid length of each row, where rows are padded along dimension 1.
#[derive(Debug, Clone)]
pub struct Value {
    pub payload: Payload,
    pub lengths: Option<Arc<[usize]>>,
    /// A module's weights, offered to other modules: the first dimension is not the batch.
    pub is_parameter: bool,
}

impl<T: Into<Payload>> From<T> for Value {
    fn from(tensor: T) -> Self {
        Self {
            payload: tensor.into(),
            lengths: None,
            is_parameter: false,
        }
    }
}

impl Value {
    /// A value with the lengths of another one: the usual case for per-step functions.
    pub fn with_lengths(tensor: impl Into<Payload>, lengths: Option<Arc<[usize]>>) -> Self {
        Self {
            payload: tensor.into(),
            lengths,
            is_parameter: false,
        }
    }

    /// A module's weights as a value: the same for every row of every batch.
    pub fn parameter(tensor: impl Into<Payload>) -> Self {
        Self {
            payload: tensor.into(),
            lengths: None,
            is_parameter: true,
        }
    }

    /// The tensor, if it has the wanted rank and kind.
    pub fn tensor<T>(&self) -> Result<T, ValueError>
    where
        T: TryFrom<Payload, Error = ValueError>,
    {
        self.payload.clone().try_into()
    }

    pub fn shape(&self) -> Vec<usize> {
        self.payload.shape()
    }

    /// Rows in the batch.
    pub fn rows(&self) -> usize {
        self.shape().first().copied().unwrap_or(0)
    }

    /// The valid length of every row; full length where the value is not ragged.
    pub fn row_lengths(&self) -> Arc<[usize]> {
        self.lengths.clone().unwrap_or_else(|| {
            let shape = self.shape();
            vec![shape.get(1).copied().unwrap_or(1); shape.first().copied().unwrap_or(0)].into()
        })
    }

    /// The same value outside the gradient graph.
    #[must_use]
    pub fn detach(self) -> Self {
        Self {
            payload: self.payload.detach(),
            ..self
        }
    }

    /// Rows picked by index, in that order; a row may be picked several times. A parameter has no
    /// rows and stays whole.
    #[must_use]
    pub fn select_rows(self, rows: &[usize]) -> Self {
        if self.is_parameter {
            return self;
        }
        let indices: Vec<i64> = rows.iter().map(|&row| row as i64).collect();
        let device = self.payload.device();
        let data = TensorData::new(indices, [rows.len()]);
        let lengths = self
            .lengths
            .map(|lengths| rows.iter().map(|&row| lengths[row]).collect());
        Self {
            payload: self
                .payload
                .select_rows(Tensor::from_data(data, (&device, DType::I64))),
            lengths,
            is_parameter: false,
        }
    }

    /// Moves a column of a batch to a device.
    pub fn from_column(column: &Column, device: &Device) -> Result<Self, ValueError> {
        let shape = column.array.shape.clone();
        let rank = shape.len();
        let payload: Payload = match &column.array.data {
            ArrayData::F32(elements) => {
                let data = TensorData::new(elements.clone(), shape.clone());
                match rank {
                    1 => Tensor::<1>::from_data(data, device).into(),
                    2 => Tensor::<2>::from_data(data, device).into(),
                    3 => Tensor::<3>::from_data(data, device).into(),
                    4 => Tensor::<4>::from_data(data, device).into(),
                    5 => Tensor::<5>::from_data(data, device).into(),
                    _ => return Err(unsupported("float of rank 1 to 5", "float", shape)),
                }
            }
            ArrayData::I64(elements) => {
                let data = TensorData::new(elements.clone(), shape.clone());
                let options = (device, DType::I64);
                match rank {
                    1 => Tensor::<1, Int>::from_data(data, options).into(),
                    2 => Tensor::<2, Int>::from_data(data, options).into(),
                    3 => Tensor::<3, Int>::from_data(data, options).into(),
                    _ => return Err(unsupported("integer of rank 1 to 3", "integer", shape)),
                }
            }
        };
        Ok(Self::with_lengths(payload, column.lengths.clone()))
    }

    /// Elements on the host in row-major order.
    pub fn to_f32(&self) -> Vec<f32> {
        let data = self.payload.to_data();
        // One copy where the numbers are of this type already; else one by one.
        data.try_to_vec()
            .unwrap_or_else(|_| data.iter::<f32>().collect())
    }

    /// Integer elements on the host in row-major order.
    pub fn to_i64(&self) -> Vec<i64> {
        let data = self.payload.to_data();
        data.try_to_vec()
            .unwrap_or_else(|_| data.iter::<i64>().collect())
    }
}

fn unsupported(expected: &str, found: &'static str, shape: Vec<usize>) -> ValueError {
    ValueError {
        expected: expected.to_owned(),
        found,
        shape,
    }
}
