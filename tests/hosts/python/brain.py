"""Nuncio's component in Python: wasmtime runs it."""

from wasmtime import Engine, Store, component as wasm


class Brain:
    """An instance that was given nothing."""

    def __init__(self, path):
        engine = Engine()
        self.store = Store(engine)
        component = wasm.Component.from_file(engine, path)
        for name, item in component.type.imports(engine).items():
            # The interface that holds the types is imported by name only: there is nothing in it to call.
            is_interface = isinstance(item.ty, wasm.ComponentInstanceType)
            items = item.ty.exports(engine).values() if is_interface else [item]
            assert all(isinstance(item.ty, wasm.ValType) for item in items), f"a brain imports nothing, not {name}"
        self.instance = wasm.Linker(engine).instantiate(self.store, component)

    def call(self, interface, name, *arguments):
        """What an exported function returns, and the same in the form of expected.json."""
        at = self.instance.get_export_index(self.store, f"nuncio:dispatch/{interface}@0.1.0")
        function = self.instance.get_func(self.store, self.instance.get_export_index(self.store, name, at))
        value = function(self.store, *arguments)
        return value, plain(function.type(self.store).result, value)

    def on(self, dispatcher, name, *arguments):
        return self.call("dispatcher", f"[method]dispatcher.{name}", dispatcher, *arguments)


def plain(kind, value):
    match kind:
        case wasm.U64():
            return str(value)
        case wasm.ListType():
            return [plain(kind.element, item) for item in value]
        case wasm.RecordType():
            return {name: plain(field, getattr(value, name)) for name, field in kind.fields}
        case wasm.OptionType():
            return None if value is None else plain(kind.payload, value)
        case wasm.VariantType() | wasm.ResultType():
            is_result = isinstance(kind, wasm.ResultType)
            cases = {"ok": kind.ok, "err": kind.err} if is_result else dict(kind.cases)
            if not isinstance(value, wasm.Variant):
                # wasmtime leaves the tag out where the class of the value tells the case.
                value = wasm.Variant(next(case for case in cases if fits(cases[case], value)), value)
            payload = cases[value.tag]
            return value.tag if payload is None else {value.tag: plain(payload, value.payload)}
        case wasm.OwnType():
            return None
        case _:
            return value


def fits(kind, value):
    if kind is None:
        return value is None
    kind.add_classes(classes := set())
    return isinstance(value, tuple(classes))


def record(fields):
    made = wasm.Record()
    vars(made).update(fields)
    return made
