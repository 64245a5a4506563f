// Package runtime gives the host memory in which it hands over strings and lists.
package runtime

import (
	"runtime"
	"unsafe"
)

// Keeps what the host has allocated until the call that it was for has begun.
var pinner runtime.Pinner

// isInitialized is true once Go's own initialization has come this far.
var isInitialized bool

func init() {
	isInitialized = true
}

// Unpin leaves what the host has allocated to the garbage collector. The generated code calls it at
// the beginning of each exported function, when it has made Go values of all arguments.
func Unpin() {
	pinner.Unpin()
}

// Allocate gives memory that stays where it is until the pinner is unpinned. size and align are
// those of the component model: align is 1, 2, 4 or 8, and size a multiple of it.
func Allocate(pinner *runtime.Pinner, size, align uintptr) unsafe.Pointer {
	if size == 0 {
		return unsafe.Pointer(align) // never looked at, but has to be aligned
	}
	// Go aligns memory by its type, and does not look for pointers in these.
	var pointer unsafe.Pointer
	switch align {
	case 1:
		pointer = unsafe.Pointer(unsafe.SliceData(make([]uint8, size)))
	case 2:
		pointer = unsafe.Pointer(unsafe.SliceData(make([]uint16, size/2)))
	case 4:
		pointer = unsafe.Pointer(unsafe.SliceData(make([]uint32, size/4)))
	case 8:
		pointer = unsafe.Pointer(unsafe.SliceData(make([]uint64, size/8)))
	default:
		panic("an alignment that the component model does not have")
	}
	pinner.Pin(pointer)
	return pointer
}

// The host calls it for memory: before a call for its arguments, and during the call of an imported
// function for its result.
//
//go:wasmexport cabi_realloc
func reallocate(old unsafe.Pointer, oldSize, align, size uintptr) unsafe.Pointer {
	if old != nil || oldSize != 0 {
		panic("the host grows no memory of the guest's")
	}
	if !isInitialized {
		return reserve(size, align)
	}
	return Allocate(&pinner, size, align)
}

// What the adapter for WASI wants for itself while Go initializes, before there is a heap: once in
// the life of an instance, and never given back.
var (
	reserved     [192 * 1024]byte
	reservedUsed uintptr
)

func reserve(size, align uintptr) unsafe.Pointer {
	start := uintptr(unsafe.Pointer(&reserved)) + reservedUsed
	start = (start + align - 1) &^ (align - 1)
	reservedUsed = start + size - uintptr(unsafe.Pointer(&reserved))
	if reservedUsed > uintptr(len(reserved)) {
		panic("the adapter for WASI wants more memory than is reserved for it")
	}
	return unsafe.Pointer(start)
}
