/** Stands for packages that no drawing needs. */
export default {};
