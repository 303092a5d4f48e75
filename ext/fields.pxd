# cython: language_level=3
"""Fields of a msgspec.Struct read and set in place: where one lies is told by its descriptor, once.

An attribute costs 20 ns, a message has eighteen; a call with as many names costs 150. Whoever reads must have seen
that the type is exactly the one that the descriptor is of. Whoever makes one sets every field: nothing of msgspec's own
(defaults, __post_init__) is done, as with copy.copy.
"""

from cpython.object cimport PyObject

cdef extern from *:
    """
    #include <structmember.h>
    static Py_ssize_t field_of(PyObject *type, const char *name) {
        PyObject *found = PyObject_GetAttrString(type, name);
        Py_ssize_t offset = -1;
        if (found == NULL)
            return -1;
        if (Py_IS_TYPE(found, &PyMemberDescr_Type) && ((PyMemberDescrObject *)found)->d_member->type == T_OBJECT_EX)
            offset = ((PyMemberDescrObject *)found)->d_member->offset;
        else
            PyErr_Format(PyExc_TypeError, "%s is no field of a Struct", name);
        Py_DECREF(found);
        return offset;
    }
    static PyObject *new_struct(PyObject *type) {
        return ((PyTypeObject *)type)->tp_alloc((PyTypeObject *)type, 0);
    }
    static void set_field(PyObject *made, Py_ssize_t offset, PyObject *value) {
        *(PyObject **)((char *)made + offset) = Py_NewRef(value);
    }
    #define FIELD(object, offset) (*(PyObject **)((char *)(object) + (offset)))
    """
    Py_ssize_t field_of(object type, const char *name) except -1
    PyObject *FIELD(object value, Py_ssize_t offset) noexcept
    object new_struct(object type)
    void set_field(object made, Py_ssize_t offset, object value) noexcept
