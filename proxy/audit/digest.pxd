# The hash_hex of digest.py for compiled modules: one context of OpenSSL's, used again and again.
#
# OpenSSL is the one that Python's own _hashlib has loaded: found through that module, so that
# nothing is linked here and the algorithm is the one that hashlib would take. Where Python has
# no such module, or has OpenSSL within itself, hashlib is asked. For a holder of the
# interpreter's lock alone: there is one context.
cdef extern from *:
    """
    #include <dlfcn.h>
    #include <stddef.h>

    static struct {
        int state;  /* 0: not looked for, 1: found, -1: not there */
        void *context;
        int (*start)(void *context, const void *type, void *engine);
        int (*update)(void *context, const void *data, size_t size);
        int (*finish)(void *context, unsigned char *hash, unsigned int *size);
        PyObject *sha256;  /* hashlib's, where OpenSSL's own is not found */
    } accode_digest;

    static int accode_find_digest(void)
    {
        PyObject *module, *file = NULL;
        const char *path;
        void *library = NULL, *(*make)(void);
        const void *(*type)(void);

        accode_digest.state = -1;
        module = PyImport_ImportModule("_hashlib");
        if (module != NULL)
            file = PyObject_GetAttrString(module, "__file__");
        path = file != NULL && PyUnicode_Check(file) ? PyUnicode_AsUTF8(file) : NULL;
        if (path != NULL)
            library = dlopen(path, RTLD_NOW | RTLD_NOLOAD);
        PyErr_Clear();
        Py_XDECREF(file);
        Py_XDECREF(module);
        if (library != NULL) {
            *(void **)&make = dlsym(library, "EVP_MD_CTX_new");
            *(void **)&type = dlsym(library, "EVP_sha256");
            *(void **)&accode_digest.start = dlsym(library, "EVP_DigestInit_ex");
            *(void **)&accode_digest.update = dlsym(library, "EVP_DigestUpdate");
            *(void **)&accode_digest.finish = dlsym(library, "EVP_DigestFinal_ex");
            if (make && type && accode_digest.start && accode_digest.update
                && accode_digest.finish) {
                accode_digest.context = make();
                if (accode_digest.context != NULL
                    && accode_digest.start(accode_digest.context, type(), NULL) == 1) {
                    accode_digest.state = 1;
                    return 0;
                }
            }
        }
        module = PyImport_ImportModule("hashlib");
        if (module == NULL)
            return -1;
        accode_digest.sha256 = PyObject_GetAttrString(module, "sha256");
        Py_DECREF(module);
        return accode_digest.sha256 == NULL ? -1 : 0;
    }

    static PyObject *accode_hash_hex(PyObject *line)
    {
        static const char digits[] = "0123456789abcdef";
        unsigned char hash[64];
        unsigned int size = 0, at;
        PyObject *shown;
        Py_UCS1 *to;

        if (accode_digest.state == 0 && accode_find_digest() < 0)
            return NULL;
        if (accode_digest.state < 0) {
            PyObject *made = PyObject_CallOneArg(accode_digest.sha256, line);
            if (made == NULL)
                return NULL;
            shown = PyObject_CallMethod(made, "hexdigest", NULL);
            Py_DECREF(made);
            return shown;
        }
        /* No type: the one before, without another search for it. */
        if (accode_digest.start(accode_digest.context, NULL, NULL) != 1
            || accode_digest.update(accode_digest.context, PyBytes_AS_STRING(line),
                                    (size_t)PyBytes_GET_SIZE(line)) != 1
            || accode_digest.finish(accode_digest.context, hash, &size) != 1 || size != 32) {
            PyErr_SetString(PyExc_RuntimeError, "OpenSSL cannot hash a line of the audit log");
            return NULL;
        }
        shown = PyUnicode_New(64, 127);
        if (shown == NULL)
            return NULL;
        to = PyUnicode_1BYTE_DATA(shown);
        for (at = 0; at < 32; at++) {
            to[2 * at] = (Py_UCS1)digits[hash[at] >> 4];
            to[2 * at + 1] = (Py_UCS1)digits[hash[at] & 15];
        }
        return shown;
    }
    """
    str hash_hex "accode_hash_hex"(bytes line)
