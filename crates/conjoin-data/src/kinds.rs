//! Closed sets of kinds: one list gives the enum, what the parser reads, and what `conjoin list`
//! prints, so that the three cannot disagree.

/// Declares an enum whose variants each hold one config, chosen in a recipe by `kind = "…"`.
///
/// The config types derive `Serialize`, `Deserialize` (with `deny_unknown_fields`) and
/// `JsonSchema`; their doc comments are the help text.
///
/// ```
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
/// #[serde(deny_unknown_fields)]
/// pub struct Square { side: f32 }
///
/// conjoin_data::closed_kinds! {
///     /// Shapes.
///     pub enum Shape {
///         /// Four equal sides.
///         Square(Square) = "square",
///     }
/// }
/// assert_eq!(Shape::KINDS, ["square"]);
/// ```
#[macro_export]
macro_rules! closed_kinds {
    (
        $(#[$meta:meta])*
        $vis:vis enum $name:ident {
            $( #[doc = $about:literal] $variant:ident($config:ty) = $kind:literal ),+ $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(
            Debug,
            Clone,
            PartialEq,
            ::serde::Serialize,
            ::serde::Deserialize,
            ::schemars::JsonSchema,
        )]
        #[serde(tag = "kind")]
        $vis enum $name {
            $( #[doc = $about] #[serde(rename = $kind)] $variant($config) ),+
        }

        impl $name {
            /// Every name that `kind` may have.
            pub const KINDS: &'static [&'static str] = &[$($kind),+];

            /// The name this value was chosen by.
            pub fn kind(&self) -> &'static str {
                match self { $( Self::$variant(_) => $kind ),+ }
            }

            /// One sentence about a kind.
            pub fn about(kind: &str) -> Option<&'static str> {
                match kind { $( $kind => Some($about.trim_ascii()), )+ _ => None }
            }

            /// The options of a kind as a JSON schema; `None` for an unknown kind.
            pub fn schema(kind: &str) -> Option<::schemars::Schema> {
                match kind {
                    $( $kind => Some(::schemars::schema_for!($config)), )+
                    _ => None,
                }
            }

            /// Reads the config of a kind from its table without the `kind` key; `None` for an
            /// unknown kind.
            pub fn read<'de, D>(kind: &str, table: D) -> Option<Result<Self, D::Error>>
            where
                D: ::serde::Deserializer<'de>,
            {
                match kind {
                    $( $kind => Some(
                        <$config as ::serde::Deserialize>::deserialize(table).map(Self::$variant),
                    ), )+
                    _ => None,
                }
            }
        }
    };
}
