"""Q/DQ around Conv and MatMul as one node each: QLinearConv and QLinearMatMul."""
import numpy as np
from onnx import helper, numpy_helper


def operator_form(nodes, constants, outputs):
    """The nodes, in their order, with every Conv and MatMul replaced that stands between DequantizeLinear and the one
    QuantizeLinear that reads it. Constants that this needs are appended."""
    numbers = {c.name: numpy_helper.to_array(c) for c in constants}
    makers = {name: node for node in nodes for name in node.output}
    readers = {}
    for node in nodes:
        for name in node.input:
            readers.setdefault(name, []).append(node)

    def parameters(pair, dtype):
        """Scale and zero point of a QuantizeLinear or DequantizeLinear."""
        if len(pair.input) > 2:
            return list(pair.input[1:])
        name = f"{pair.name}_zero"
        if name not in numbers:
            numbers[name] = np.zeros(numbers[pair.input[1]].shape, dtype)
            constants.append(numpy_helper.from_array(numbers[name], name))
        return [pair.input[1], name]

    def operand(name):
        """Codes, scale and zero point, or None."""
        pair = makers.get(name)
        if pair is None or pair.op_type != "DequantizeLinear" or pair.input[1] not in numbers:
            return None
        codes = numbers.get(pair.input[0])
        if codes is not None and codes.dtype != np.int8:
            return None
        return [pair.input[0]] + parameters(pair, np.int8 if codes is not None else np.uint8)

    replaced, gone = {}, set()
    for node in nodes:
        behind = readers.get(node.output[0], [])
        if node.op_type not in ("Conv", "MatMul") or len(behind) != 1 or behind[0].op_type != "QuantizeLinear" or \
                node.output[0] in outputs:
            continue
        operands = [operand(name) for name in node.input[:2]]
        bias = [makers[name] for name in node.input[2:] if name in makers]
        if None in operands or len(bias) != len(node.input[2:]):
            continue
        result = parameters(behind[0], np.uint8)
        if numbers[result[1]].dtype != numbers[operands[0][2]].dtype:  # ONNX Runtime has no such kernels
            continue
        inputs = operands[0] + operands[1] + result + [pair.input[0] for pair in bias]
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        replaced[behind[0].name] = helper.make_node("QLinear" + node.op_type, inputs, list(behind[0].output),
                                                    name=node.name, **attributes)
        gone.add(node.name)
    return [replaced.get(node.name, node) for node in nodes if node.name not in gone]
