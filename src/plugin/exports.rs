//! What a component exports and imports, found out when it is loaded.
//!
//! A component exports the decisions that it cares about, each an interface of its own. So no world
//! is demanded of it: each interface is looked up by itself, and its functions' types are compared
//! with ours, before anything of the component has run.

use wasmtime::Engine;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, ComponentNamedList, InstancePre, Lift, Linker, Lower};

use super::bindings::{gate, idleness, lifecycle, readiness, types};
use super::error::LoadFault;
use super::guest::Guest;
use super::interface::{Decision, InterfaceName};

/// A component that can be instantiated, and where its functions are.
pub struct Loaded {
    pub(super) pre: InstancePre<Guest>,
    pub(super) lifecycle: Option<lifecycle::GuestIndices>,
    pub(super) readiness: Option<readiness::GuestIndices>,
    pub(super) gate: Option<gate::GuestIndices>,
    pub(super) idleness: Option<idleness::GuestIndices>,
}

type Answer<T> = (Result<T, types::Failure>,);

impl Loaded {
    /// Links `component` and finds its decisions.
    pub(super) fn new(linker: &Linker<Guest>, component: &Component) -> Result<Loaded, LoadFault> {
        let engine = linker.engine();
        check_versions(engine, component)?;
        check_imports(engine, component)?;
        let pre = linker
            .instantiate_pre(component)
            .map_err(|error| LoadFault::OtherImport(LoadFault::reason(&error)))?;
        let shape = Shape { pre: &pre };
        Ok(Loaded {
            lifecycle: shape.find(Decision::Lifecycle, lifecycle::GuestIndices::new, |shape| {
                shape.function::<(&types::Service, &types::Cause), Answer<()>>("start")?;
                shape.function::<(&types::Service, &types::Cause), Answer<()>>("stop")
            })?,
            readiness: shape.find(Decision::Readiness, readiness::GuestIndices::new, |shape| {
                type Answers = Answer<readiness::ReadinessAnswer>;
                shape.function::<(&types::Service, u32), Answers>("ready")
            })?,
            gate: shape.find(Decision::Gate, gate::GuestIndices::new, |shape| {
                type Question<'a> = (&'a types::Service, &'a types::Client, types::Phase, &'a [u8]);
                shape.function::<Question<'_>, Answer<gate::Reply>>("should-wake")
            })?,
            idleness: shape.find(Decision::Idleness, idleness::GuestIndices::new, |shape| {
                type Answers = Answer<idleness::IdlenessAnswer>;
                shape.function::<(&types::Service, u64), Answers>("should-sleep")
            })?,
            pre,
        })
    }

    /// The decisions that it makes.
    pub fn decisions(&self) -> Vec<Decision> {
        Decision::ALL.into_iter().filter(|decision| self.makes(*decision)).collect()
    }

    /// Whether it makes this decision.
    pub(super) fn makes(&self, decision: Decision) -> bool {
        match decision {
            Decision::Lifecycle => self.lifecycle.is_some(),
            Decision::Readiness => self.readiness.is_some(),
            Decision::Gate => self.gate.is_some(),
            Decision::Idleness => self.idleness.is_some(),
        }
    }
}

/// The names of everything that `component` exports.
pub(super) fn export_names(engine: &Engine, component: &Component) -> Vec<String> {
    component.component_type().exports(engine).map(|(name, _)| name.to_owned()).collect()
}

/// The names of everything that `component` imports.
pub(super) fn import_names(engine: &Engine, component: &Component) -> Vec<String> {
    component.component_type().imports(engine).map(|(name, _)| name.to_owned()).collect()
}

/// Does it make a decision in our version of the package?
fn check_versions(engine: &Engine, component: &Component) -> Result<(), LoadFault> {
    let exports = export_names(engine, component);
    let imports = import_names(engine, component);
    if exports
        .iter()
        .filter_map(|name| InterfaceName::parse(name))
        .any(|name| name.decision().is_some())
    {
        return Ok(());
    }
    let mut names = exports.iter().chain(&imports).filter_map(|name| InterfaceName::parse(name));
    let other = names.find(|name| name.is_ours() && !name.is_current());
    Err(match other {
        Some(other) => {
            LoadFault::OtherVersion(other.version.unwrap_or("without a version").to_owned())
        }
        None => LoadFault::NoDecision(exports),
    })
}

/// Does it import nothing but what is offered?
fn check_imports(engine: &Engine, component: &Component) -> Result<(), LoadFault> {
    let mut imports = import_names(engine, component);
    imports.retain(|name| InterfaceName::parse(name).is_none_or(|name| !name.is_offered()));
    if imports.is_empty() { Ok(()) } else { Err(LoadFault::UnknownImports(imports)) }
}

/// Looks up interfaces in a component, and compares them with ours.
struct Shape<'a> {
    pre: &'a InstancePre<Guest>,
}

/// One interface of a component.
struct InterfaceShape<'a> {
    pre: &'a InstancePre<Guest>,
    name: String,
}

impl<'a> Shape<'a> {
    /// The functions of `decision`, if the component exports it.
    fn find<Indices>(
        &self,
        decision: Decision,
        indices: fn(&InstancePre<Guest>) -> wasmtime::Result<Indices>,
        check: impl FnOnce(&InterfaceShape<'a>) -> Result<(), LoadFault>,
    ) -> Result<Option<Indices>, LoadFault> {
        let name = decision.interface();
        if self.pre.component().get_export_index(None, &name).is_none() {
            return Ok(None);
        }
        let shape = InterfaceShape { pre: self.pre, name };
        check(&shape)?;
        indices(self.pre).map(Some).map_err(|error| shape.fault(LoadFault::reason(&error)))
    }
}

impl InterfaceShape<'_> {
    /// Has the interface this function?
    ///
    /// `typecheck` and `instance_type` are what `bindgen!` generates calls to. Without them the
    /// types would be compared only once an instance is there, in the middle of somebody's wake.
    fn function<Parameters, Results>(&self, name: &str) -> Result<(), LoadFault>
    where
        Parameters: ComponentNamedList + Lower,
        Results: ComponentNamedList + Lift,
    {
        let component = self.pre.component();
        let instance = component.get_export_index(None, &self.name);
        let function = instance.and_then(|instance| component.get_export(Some(&instance), name));
        let Some((ComponentItem::ComponentFunc(function), _)) = function else {
            return Err(self.fault(format!("it has no function `{name}`")));
        };
        if function.async_() {
            return Err(self.fault(format!("its function `{name}` is `async`, and ours is not")));
        }
        function.typecheck::<Parameters, Results>(&self.pre.instance_type()).map_err(|error| {
            self.fault(format!("its function `{name}` differs: {}", LoadFault::reason(&error)))
        })
    }

    fn fault(&self, reason: String) -> LoadFault {
        LoadFault::OtherShape { interface: self.name.clone(), reason }
    }
}
