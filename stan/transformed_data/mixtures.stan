  matrix[sum(components_of), 3] components;  // log of weight times density at 0, scale, degrees of freedom
  array[P] int first_component;
  array[P] int last_component;
  vector[P] mixture_scale = rep_vector(1, P);  // see mixture_scale_at
  for (c in 1 : sum(components_of)) {
    if (component_scale[c] == 0) {
      reject("component ", c, " has scale 0: Stan cannot sample a point mass at zero; use a narrow normal ",
             "distribution instead, for example with 0.05 of the smallest other scale");
    }
    components[c] = [log(component_weight[c]) + log_height(component_scale[c], component_nu[c]), component_scale[c],
                     component_nu[c]];
  }
  for (k in 1 : P) {
    last_component[k] = sum(components_of[1 : k]);
    first_component[k] = last_component[k] - components_of[k] + 1;
    if ((effects[k] == 2) != (components_of[k] > 0)) {
      reject("coefficient ", k, " must have components if effects is 2, and none if it is not");
    }
    if (effects[k] == 2) {
      if (abs(sum(component_weight[first_component[k] : last_component[k]]) - 1) > 1e-6) {
        reject("the weights of the components of coefficient ", k, " must add up to 1");
      }
      mixture_scale[k] = mixture_scale_at(components, first_component[k], last_component[k]);
    }
  }
