// Package types has what Go lacks of the component model's types, in the form that the generated
// bindings expect.
package types

// Unit is a type without content: the success of `result<_, E>`.
type Unit struct{}

// The cases of an Option.
const (
	OptionNone uint8 = 0
	OptionSome uint8 = 1
)

// Option is a value that may be absent.
type Option[T any] struct {
	isSome bool
	value  T
}

// None is an absent value.
func None[T any]() Option[T] {
	return Option[T]{}
}

// Some is a value that is there.
func Some[T any](value T) Option[T] {
	return Option[T]{isSome: true, value: value}
}

// Tag says which case it is: OptionNone or OptionSome.
func (option Option[T]) Tag() uint8 {
	if option.isSome {
		return OptionSome
	}
	return OptionNone
}

// Some is the value. It panics if there is none.
func (option Option[T]) Some() T {
	if !option.isSome {
		panic("there is no value")
	}
	return option.value
}

// The cases of a Result.
const (
	ResultOk  uint8 = 0
	ResultErr uint8 = 1
)

// Result is the value of what succeeded, or the error of what failed.
type Result[T, E any] struct {
	isErr bool
	ok    T
	err   E
}

// Ok is a success.
func Ok[T, E any](value T) Result[T, E] {
	return Result[T, E]{ok: value}
}

// Err is a failure.
func Err[T, E any](value E) Result[T, E] {
	return Result[T, E]{isErr: true, err: value}
}

// Tag says which case it is: ResultOk or ResultErr.
func (result Result[T, E]) Tag() uint8 {
	if result.isErr {
		return ResultErr
	}
	return ResultOk
}

// IsErr says whether it is a failure.
func (result Result[T, E]) IsErr() bool {
	return result.isErr
}

// Ok is the value of a success. It panics if it is a failure.
func (result Result[T, E]) Ok() T {
	if result.isErr {
		panic("it is a failure")
	}
	return result.ok
}

// Err is the error of a failure. It panics if it is a success.
func (result Result[T, E]) Err() E {
	if !result.isErr {
		panic("it is a success")
	}
	return result.err
}
