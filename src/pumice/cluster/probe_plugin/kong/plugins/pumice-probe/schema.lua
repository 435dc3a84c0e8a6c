return {
  name = "pumice-probe",
  fields = {
    { config = { type = "record", fields = {} } },
  },
}
